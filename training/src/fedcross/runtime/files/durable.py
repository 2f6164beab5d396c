"""Wait until files and folders are on the disk, so that they survive a power failure."""

import errno
import os
from pathlib import Path

_CANNOT_FLUSH_FOLDERS = (errno.EINVAL, errno.ENOTSUP)
"""Errors of file systems, such as some network shares, that cannot flush a folder."""


def flush_file(path: Path) -> None:
    """Wait until the content of a file is on the disk."""
    with open(path, "r+b") as file:  # Windows flushes only what is open for writing
        os.fsync(file.fileno())


def flush_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk, if the system can do that."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH_FOLDERS:
            raise
    finally:
        os.close(descriptor)


def flush_tree(path: Path) -> None:
    """Wait until a folder and everything in it are on the disk."""
    for parent, _, names in os.walk(path):
        for name in names:
            flush_file(Path(parent, name))
        flush_folder(Path(parent))
