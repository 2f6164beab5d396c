"""Folders of volumes: which files are volumes, what they are called, what lies below a folder."""

import os
from collections.abc import Iterator
from pathlib import Path

from fedcross.errors import DataError

EXTENSIONS = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")


def require_folder(root: Path) -> None:
    """Raise DataError unless `root` is a folder."""
    if not root.is_dir():
        raise DataError(
            f"There is no folder named {root.name} for a site's data.",
            "Check root in the configuration, and --data.",
        )


def stem(path: Path) -> str:
    """A volume's name without its extension."""
    ending = next((end for end in EXTENSIONS if path.name.endswith(end)), "")
    return path.name.removesuffix(ending)


def walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Every folder below `root`, in order, with its files' names; links are followed, but once.

    Raises
    ------
    OSError
        If a folder cannot be listed: passed over, its cases would be missed by nobody.
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
