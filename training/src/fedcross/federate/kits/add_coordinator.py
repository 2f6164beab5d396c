"""Makes the kit of one more coordinator, under the authority of the other kits."""

from dataclasses import replace
from pathlib import Path

from fedcross.federate.flare.provisioning import make_kits
from fedcross.federate.kits.federation_folder import (
    change_kits,
    publish_kit,
    read_federation,
    write_project,
)
from fedcross.federate.kits.hardening import configure_admin_kit
from fedcross.federate.kits.provision import (
    ADMIN_NAME,
    AUTHORITY,
    COORDINATORS,
    DOMAIN,
)


def add_coordinator(folder: Path, name: str) -> Path:
    """Make the kit of a coordinator, who then has the rights of the first one.

    The other kits stay as they are. After an error nothing is changed, or the same call completes the
    change.

    Parameters
    ----------
    folder
        Folder that ``fedcross federation init`` made, with ``authority`` and ``project.yml``.
    name
        The coordinator's name.

    Returns
    -------
    Path
        Folder of the new kit.

    Raises
    ------
    ConfigError
        If the folder holds no federation, the name cannot be used or is taken, or the authority expires
        within 60 days.
    OutputError
        If the folder cannot be written.
    """
    subject = f"{name}@{DOMAIN}"
    place = folder / COORDINATORS / name
    with change_kits(folder) as scratch:
        project, federation = read_federation(folder)
        grown = replace(federation, coordinators=(*federation.coordinators, name))
        grown.check()
        template = next(each for each in project["participants"] if each["name"] == ADMIN_NAME)
        participants = [*project["participants"], {**template, "name": subject}]
        grown_project = {**project, "participants": participants}
        kits, authority = make_kits(grown_project, scratch, folder / AUTHORITY)
        configure_admin_kit(kits / subject, federation.sites)
        publish_kit(folder, kits / subject, place, authority, grown)
        place.parent.chmod(0o700)
        write_project(folder, grown_project)
    return place
