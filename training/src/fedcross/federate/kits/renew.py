"""Makes a new certificate and key for one participant, under the authority of the other kits."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from fedcross.errors import ConfigError
from fedcross.federate.flare.provisioning import make_kits
from fedcross.federate.kits.certificates import DAY, STATE_FILE, own_key_sites, read_ends
from fedcross.federate.kits.federation_folder import change_kits, read_federation, write_private
from fedcross.federate.kits.hardening import remove_files, restrict_to_owner, set_listen_port
from fedcross.federate.kits.provision import (
    ADMIN,
    ADMIN_NAME,
    AUTHORITY,
    COORDINATORS,
    DOMAIN,
    README,
    SERVER,
    SITES,
    STARTUP,
    Federation,
    write_readme,
)
from fedcross.federate.kits.service import write_service
from fedcross.runtime.files.atomic import atomic_folder

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey


def renew_kit(folder: Path, name: str, public_key: "RSAPublicKey | None" = None) -> Path:
    """Make the folder ``startup`` of a kit anew, with a new certificate and key; nothing else changes.

    The certificate that the kit had stays valid to its end.

    Parameters
    ----------
    folder
        Folder that ``fedcross federation init`` made.
    name
        ``server``, ``admin`` (the first coordinator), or the name of a hospital or coordinator.
    public_key
        The public key of a hospital that made its private key itself: the folder then contains none.

    Returns
    -------
    Path
        The folder ``startup`` in the kit in `folder`. Its owner puts it in the place of the one in use.

    Raises
    ------
    ConfigError
        If the folder holds no federation, there is no such kit, the authority does not last longer
        than the certificate in use, a hospital that made its key sends no new one, or a key is given for
        a kit that is not a hospital's.
    OutputError
        If the folder cannot be written.
    """
    with change_kits(folder) as scratch:
        project, federation = read_federation(folder)
        subject, kit = _participant(federation, name)
        _check_key_owner(folder, federation, name, public_key)
        keys = {} if public_key is None else {subject: public_key}
        shutil.copytree(folder / AUTHORITY, scratch / AUTHORITY)
        _forget(scratch / AUTHORITY, subject)
        kits, authority = make_kits(project, scratch / "made", scratch / AUTHORITY, keys)
        remove_files(kits / subject)
        if name == SERVER or name in federation.sites:
            port = federation.server_port if name == SERVER else None
            if port is not None:
                set_listen_port(kits / subject, federation.server, port)
            write_service(kits / subject / STARTUP, name, federation.name, port)
        restrict_to_owner(kits / subject)
        write_private(folder / AUTHORITY / STATE_FILE, (authority / STATE_FILE).read_bytes())
        (folder / kit).mkdir(mode=0o700, parents=True, exist_ok=True)
        with atomic_folder(folder / kit / STARTUP, durable=True) as made:
            shutil.copytree(kits / subject / STARTUP, made, dirs_exist_ok=True)
            made.chmod(0o700)
        write_readme(folder, federation)
        (folder / README).chmod(0o600)
    return folder / kit / STARTUP


def _participant(federation: Federation, name: str) -> tuple[str, Path]:
    """The name in the certificate, and the kit's place in the folder."""
    if name in federation.sites:
        return name, Path(SITES, name)
    if name == SERVER:
        return federation.server, Path(SERVER)
    if name == ADMIN:
        return ADMIN_NAME, Path(ADMIN)
    if name in federation.coordinators:
        return f"{name}@{DOMAIN}", Path(COORDINATORS, name)
    names = ", ".join((SERVER, ADMIN, *federation.coordinators, *federation.sites))
    raise ConfigError(f"The federation has no kit {name!r}; it has {names}.")


def _check_key_owner(
    folder: Path, federation: Federation, name: str, public_key: "RSAPublicKey | None"
) -> None:
    """Raise ConfigError if the key must come from the hospital, or cannot."""
    if public_key is None and name in own_key_sites(folder / AUTHORITY):
        raise ConfigError(
            f"{name} made its private key itself, so its new certificate needs a new request.",
            "Ask it for one (fedcross site request), and give it with --request.",
        )
    if public_key is not None and name not in federation.sites:
        raise ConfigError(f"A request is for a hospital only, not for {name}.")


def _forget(authority: Path, subject: str) -> None:
    """Remove a participant from a copy of the authority, so that FLARE makes a new certificate."""
    ends, _ = read_ends(authority)
    path = authority / STATE_FILE
    state = json.loads(path.read_text(encoding="utf-8"))
    only = {"root_cert": state["root_cert"], subject: state.pop(subject, {})}
    path.write_text(json.dumps(only), encoding="utf-8")
    if only[subject] and read_ends(authority)[1] >= ends:
        raise ConfigError(
            f"The certificate of {subject} is valid until {ends:{DAY}}, as long as the authority.",
            "Make a new federation with fedcross federation init, and hand over all kits.",
        )
    path.write_text(json.dumps(state), encoding="utf-8")
