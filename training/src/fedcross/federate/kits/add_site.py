"""Makes the kit of one more hospital, under the authority of the other kits."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedcross.errors import ConfigError
from fedcross.federate.flare.provisioning import make_kits
from fedcross.federate.kits.certificates import STATE_FILE, own_key_sites
from fedcross.federate.kits.federation_folder import change_kits, read_federation, write_private
from fedcross.federate.kits.hardening import configure_site_kit, restrict_to_owner
from fedcross.federate.kits.provision import (
    ADMIN,
    AUTHORITY,
    PROJECT,
    README,
    SITES,
    STARTUP,
    Federation,
    write_readme,
)
from fedcross.federate.kits.roster import write_roster
from fedcross.federate.kits.service import write_service
from fedcross.runtime.files.atomic import atomic_folder

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey


def add_site(folder: Path, name: str, public_key: "RSAPublicKey | None" = None) -> Path:
    """Make the kit of a new hospital; the other kits stay as they are and go on working.

    After an error nothing is changed, or the same call completes the change.

    Parameters
    ----------
    folder
        Folder that ``fedcross federation init`` made, with ``authority`` and ``project.yml``. The
        coordinator's kit in it gets the new name.
    name
        The hospital's name.
    public_key
        The public key of the hospital, if it made its private key itself: the kit then contains none.

    Returns
    -------
    Path
        Folder of the new kit.

    Raises
    ------
    ConfigError
        If the folder holds no federation, the name cannot be used or is taken, or the authority
        expires within 60 days.
    OutputError
        If the folder cannot be written.
    """
    project, federation = read_federation(folder)
    if name in federation.sites:
        raise ConfigError(
            f"The federation has a hospital {name} already; it has {', '.join(federation.sites)}."
        )
    if public_key is None and name in own_key_sites(folder / AUTHORITY):
        raise ConfigError(
            f"{name} was added with a request, and the call did not end.",
            "Repeat it with --request.",
        )
    grown = replace(federation, sites=(*federation.sites, name))
    grown.check()
    with change_kits(folder) as scratch:
        _write_kit(folder, scratch, project, grown, public_key)
    return folder / SITES / name


def _write_kit(
    folder: Path,
    scratch: Path,
    project: dict[str, Any],
    federation: Federation,
    public_key: "RSAPublicKey | None",
) -> None:
    """Make the last site's kit in a scratch folder and publish it; the list of names comes last."""
    name = federation.sites[-1]
    template = next(each for each in project["participants"] if each["type"] == "client")
    participants = [*project["participants"], {**template, "name": name}]
    grown = {**project, "participants": participants}
    keys = {} if public_key is None else {name: public_key}
    kits, authority = make_kits(grown, scratch, folder / AUTHORITY, keys)
    configure_site_kit(kits / name, name, federation.sites)
    write_service(kits / name / STARTUP, name, federation.name)
    restrict_to_owner(kits / name)
    state = (authority / STATE_FILE).read_bytes()
    write_private(folder / AUTHORITY / STATE_FILE, state)
    # A kit of this name is left from a call that was interrupted: no hospital has it.
    with atomic_folder(folder / SITES / name, durable=True) as made:
        shutil.copytree(kits / name, made, dirs_exist_ok=True)
        made.chmod(0o700)
    write_readme(folder, federation)
    (folder / README).chmod(0o600)
    if (folder / ADMIN).is_dir():
        write_roster(folder / ADMIN, federation.sites)
    write_private(folder / PROJECT, json.dumps(grown, indent=2).encode("utf-8") + b"\n")
