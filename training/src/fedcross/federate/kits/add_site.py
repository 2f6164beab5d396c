"""Makes the kit of one more hospital, under the authority of the other kits."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedcross.errors import ConfigError, OutputError
from fedcross.federate.flare.provisioning import make_kits
from fedcross.federate.kits.certificates import DAY, EXPIRES_SOON, STATE_FILE, read_ends
from fedcross.federate.kits.hardening import configure_site_kit, restrict_to_owner
from fedcross.federate.kits.provision import (
    ADMIN,
    AUTHORITY,
    PROJECT,
    README,
    SITES,
    Federation,
    write_readme,
)
from fedcross.federate.kits.roster import write_roster
from fedcross.runtime.files.atomic import atomic_folder, scratch_folder, write_atomically
from fedcross.runtime.files.lock import folder_lock

LOCK = "authority.lock"  # in the folder of the authority


def add_site(folder: Path, name: str) -> Path:
    """Make the kit of a new hospital; the other kits stay as they are and go on working.

    After an error nothing is changed, or the same call completes the change.

    Parameters
    ----------
    folder
        Folder that ``fedcross federation init`` made, with ``authority`` and ``project.yml``. The
        coordinator's kit in it gets the new name.
    name
        The hospital's name.

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
    grown = replace(federation, sites=(*federation.sites, name))
    grown.check()
    _check_authority(folder / AUTHORITY)
    lock = folder / AUTHORITY / LOCK
    with folder_lock(lock, kind="folder", hint="Wait for it.", error_class=ConfigError):
        try:
            with scratch_folder(folder / "work") as scratch:
                scratch.chmod(0o700)
                _write_kit(folder, scratch, project, grown)
        except OSError as error:
            raise OutputError(f"{folder} cannot be written: {error.strerror}.") from error
    return folder / SITES / name


def read_federation(folder: Path) -> tuple[dict[str, Any], Federation]:
    """Read ``project.yml`` of a folder with kits: the project for FLARE, and the participants in it.

    Raises
    ------
    ConfigError
        If the folder lacks the file or the authority, or the file is damaged.
    """
    missing = [
        name for name in (PROJECT, f"{AUTHORITY}/{STATE_FILE}") if not (folder / name).is_file()
    ]
    if missing:
        raise ConfigError(
            f"{folder} has no {missing[0]}.",
            "Name the folder that fedcross federation init made, on the coordinator's machine.",
        )
    try:
        project = json.loads((folder / PROJECT).read_text(encoding="utf-8"))
        participants = project["participants"]
        (server,) = [each for each in participants if each["type"] == "server"]
        sites = tuple(each["name"] for each in participants if each["type"] == "client")
        federation = Federation(project["name"], sites, server["name"], server["fed_learn_port"])
        federation.check()
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ConfigError(f"{PROJECT} in {folder} is damaged.") from error
    return project, federation


def _check_authority(authority: Path) -> None:
    ends, _ = read_ends(authority)
    if ends - datetime.now(UTC) < EXPIRES_SOON:
        raise ConfigError(
            f"The authority of the federation is valid until {ends:{DAY}} only.",
            "Make a new federation with fedcross federation init, and hand over all kits.",
        )


def _write_kit(
    folder: Path, scratch: Path, project: dict[str, Any], federation: Federation
) -> None:
    """Make the last site's kit in a scratch folder and publish it; the list of names comes last."""
    name = federation.sites[-1]
    template = next(each for each in project["participants"] if each["type"] == "client")
    participants = [*project["participants"], {**template, "name": name}]
    grown = {**project, "participants": participants}
    kits, authority = make_kits(grown, scratch, folder / AUTHORITY)
    configure_site_kit(kits / name, name, federation.sites)
    restrict_to_owner(kits / name)
    state = (authority / STATE_FILE).read_bytes()
    _write_private(folder / AUTHORITY / STATE_FILE, state)
    # A kit of this name is left from a call that was interrupted: no hospital has it.
    with atomic_folder(folder / SITES / name, durable=True) as made:
        for part in (kits / name).iterdir():
            part.rename(made / part.name)
        made.chmod(0o700)
    write_readme(folder, federation)
    (folder / README).chmod(0o600)
    if (folder / ADMIN).is_dir():
        write_roster(folder / ADMIN, federation.sites)
    _write_private(folder / PROJECT, json.dumps(grown, indent=2).encode("utf-8") + b"\n")


def _write_private(path: Path, data: bytes) -> None:
    write_atomically(path, data, durable=True)
    path.chmod(0o600)
