"""Files that are whole or not there: written under another name, flushed to disk, then renamed."""

import os
from pathlib import Path

from fedcross.errors import CheckpointError


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write `data` to `path`, replacing what is there; a crash leaves the old file or the new one.

    Parameters
    ----------
    path
        The file.
    data
        All of it.
    durable
        Whether to wait until it is on the disk, so that this holds for the machine's crash too.

    Raises
    ------
    CheckpointError
        If it cannot be written; the old file is then unharmed.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        if durable:
            write_through(partial, data)
        else:
            partial.write_bytes(data)
        os.replace(partial, path)
        if durable:
            sync_folder(path.parent)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise CheckpointError(f"{path.name} cannot be written: {error.strerror}.") from error


def write_through(path: Path, data: bytes) -> None:
    """Write `data` and wait until it is on the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until a folder's entries are on the disk, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
