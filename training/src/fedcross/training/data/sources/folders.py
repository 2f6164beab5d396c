"""Folders of volumes: file extensions of volumes, their names, and walking through subfolders."""

import os
from collections.abc import Iterator
from pathlib import Path

from fedcross.errors import DataError

_EXTENSIONS = (".nii.gz", ".nii", ".hdr.gz", ".hdr", ".nrrd", ".nhdr", ".mha", ".mhd")


def require_folder(root: Path) -> None:
    """Raise DataError unless `root` is a folder."""
    if not root.is_dir():
        raise DataError(
            f"A site's data folder {root.name} does not exist.",
            "Check root in the configuration, and --data.",
        )


def is_volume_name(name: str) -> bool:
    """Whether a file's name ends like that of a volume, in upper or lower case; of a pair, ``.hdr``."""
    return name.lower().endswith(_EXTENSIONS)


def stem(path: Path) -> str:
    """A volume's file name without its extension."""
    ending = next((end for end in _EXTENSIONS if path.name.lower().endswith(end)), "")
    return path.name[: len(path.name) - len(ending)]


def walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield `root` and every folder below it, sorted, with the sorted names of its files.

    Hidden files and folders are left out. Links to folders are followed; a folder that is reached
    twice is yielded once.

    Raises
    ------
    OSError
        If a folder cannot be listed. Skipping it would lose its cases unnoticed.
    """
    seen = set()
    for folder, folders, files in os.walk(root, onerror=_fail, followlinks=True):
        place = os.path.realpath(folder)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(folder), sorted(name for name in files if not name.startswith("."))


def _fail(error: OSError) -> None:
    raise error
