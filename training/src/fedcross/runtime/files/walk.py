"""Walk through a folder and its subfolders in a fixed order."""

import os
from collections.abc import Iterator
from pathlib import Path


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


def real_path(path: Path) -> Path:
    """Return an absolute path without links; at a loop of links, what can be followed of it.

    `Path.resolve` raises a `RuntimeError` at such a loop before Python 3.13.
    """
    return Path(os.path.realpath(path))


def _fail(error: OSError) -> None:
    raise error
