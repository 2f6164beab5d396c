"""Makes the kit of one more hospital, under the authority of the other kits."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedcross.errors import ConfigError
from fedcross.federate.flare.provisioning import make_kits
from fedcross.federate.kits.certificates import own_key_sites
from fedcross.federate.kits.federation_folder import (
    change_kits,
    coordinator_kits,
    publish_kit,
    read_federation,
    write_project,
)
from fedcross.federate.kits.hardening import configure_site_kit
from fedcross.federate.kits.provision import (
    AUTHORITY,
    SITES,
    STARTUP,
    Federation,
)
from fedcross.federate.kits.roster import write_roster
from fedcross.federate.kits.service import write_service

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
    with change_kits(folder) as scratch:
        project, federation = read_federation(folder)
        if name in federation.sites:
            known = ", ".join(federation.sites)
            raise ConfigError(f"The federation has a hospital {name} already; it has {known}.")
        if public_key is None and name in own_key_sites(folder / AUTHORITY):
            raise ConfigError(
                f"{name} was added with a request, and the call did not end.",
                "Repeat it with --request.",
            )
        grown = replace(federation, sites=(*federation.sites, name))
        grown.check()
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
    publish_kit(folder, kits / name, folder / SITES / name, authority, federation)
    for each in coordinator_kits(folder, federation):
        if (each / "local").is_dir():
            write_roster(each, federation.sites)
    write_project(folder, grown)
