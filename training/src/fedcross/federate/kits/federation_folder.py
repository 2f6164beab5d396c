"""The folder of a federation on the coordinator's machine, opened for a change of its kits."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedcross.contract.parse import parse_json
from fedcross.errors import ConfigError, OutputError
from fedcross.federate.kits.certificates import DAY, EXPIRES_SOON, STATE_FILE, read_ends
from fedcross.federate.kits.hardening import restrict_to_owner
from fedcross.federate.kits.provision import (
    ADMIN,
    AUTHORITY,
    COORDINATORS,
    DOMAIN,
    LISTEN_PORT,
    PROJECT,
    README,
    Federation,
    write_readme,
)
from fedcross.runtime.files.atomic import atomic_folder, atomic_path, scratch_folder
from fedcross.runtime.files.lock import folder_lock

LOCK = "authority.lock"  # in the folder of the authority


def read_federation(folder: Path) -> tuple[dict[str, Any], Federation]:
    """Read ``project.yml`` of a folder with kits: the project for FLARE, and the participants in it.

    Raises
    ------
    ConfigError
        If the folder lacks the file or the authority, or the file is damaged.
    """
    _check_files(folder)
    try:
        project = parse_json((folder / PROJECT).read_text(encoding="utf-8"))
        participants = project["participants"]
        (server,) = [each for each in participants if each["type"] == "server"]
        sites = tuple(each["name"] for each in participants if each["type"] == "client")
        admins = [each["name"] for each in participants if each["type"] == "admin"]
        coordinators = tuple(name.removesuffix(f"@{DOMAIN}") for name in admins)
        federation = Federation(
            project["name"],
            sites,
            server["name"],
            server["fed_learn_port"],
            server.get(LISTEN_PORT),
            tuple(name for name in coordinators if name != ADMIN),
        )
        federation.check()
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ConfigError(f"{PROJECT} in {folder} is damaged.") from error
    return project, federation


@contextmanager
def change_kits(folder: Path) -> Iterator[Path]:
    """Yield a private scratch folder; no other process changes the federation meanwhile.

    Read the federation in the block: before it, another process may add a name.

    Raises
    ------
    ConfigError
        If the folder holds no federation, another process changes it, or the authority expires within
        60 days.
    OutputError
        If a file cannot be written, here or in the block.
    """
    _check_files(folder)
    lock = folder / AUTHORITY / LOCK
    with folder_lock(lock, kind="folder", hint="Wait for it.", error_class=ConfigError):
        _check_authority(folder / AUTHORITY)
        try:
            with scratch_folder(folder / "work") as scratch:
                scratch.chmod(0o700)
                yield scratch
        except OSError as error:
            raise OutputError(f"{folder} cannot be written: {error.strerror}.") from error


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, at any time."""
    with atomic_path(path, durable=True) as partial:
        partial.chmod(0o600)
        partial.write_bytes(data)


def write_project(folder: Path, project: Mapping[str, Any]) -> None:
    """Write the project description, from which `read_federation` knows all participants."""
    write_private(folder / PROJECT, json.dumps(project, indent=2).encode("utf-8") + b"\n")


def coordinator_kits(folder: Path, federation: Federation) -> list[Path]:
    """Places of the coordinators' kits; a kit that was handed over is not there any more."""
    return [folder / ADMIN, *(folder / COORDINATORS / name for name in federation.coordinators)]


def publish_kit(
    folder: Path, kit: Path, place: Path, authority: Path, federation: Federation
) -> None:
    """Take over a new kit and the authority that signed it, and write the README.

    Parameters
    ----------
    folder
        Folder of the federation.
    kit
        The new kit, in a scratch folder.
    place
        Its place. What is there is left from a call that was interrupted: nobody has it.
    authority
        The authority after it signed the kit, in a scratch folder.
    federation
        The participants, with the owner of the new kit.
    """
    restrict_to_owner(kit)
    write_private(folder / AUTHORITY / STATE_FILE, (authority / STATE_FILE).read_bytes())
    with atomic_folder(place, durable=True) as made:
        shutil.copytree(kit, made, dirs_exist_ok=True)
        made.chmod(0o700)
    write_readme(folder, federation)
    (folder / README).chmod(0o600)


def _check_files(folder: Path) -> None:
    missing = [
        name for name in (PROJECT, f"{AUTHORITY}/{STATE_FILE}") if not (folder / name).is_file()
    ]
    if missing:
        raise ConfigError(
            f"{folder} has no {missing[0]}.",
            "Name the folder that fedcross federation init made, on the coordinator's machine.",
        )


def _check_authority(authority: Path) -> None:
    ends, _ = read_ends(authority)
    if ends - datetime.now(UTC) < EXPIRES_SOON:
        raise ConfigError(
            f"The authority of the federation is valid until {ends:{DAY}} only.",
            "Make a new federation with fedcross federation init, and hand over all kits.",
        )
