"""Locks for folders; the operating system releases them when the process ends for any reason."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fedcross.errors import CheckpointError, FedCrossError, OutputError


@contextmanager
def folder_lock(
    path: Path,
    *,
    kind: str = "run folder",
    hint: str = "Wait for it, or choose another folder.",
    error_class: type[FedCrossError] = CheckpointError,
) -> Iterator[None]:
    """Hold a lock on the file `path` during the block.

    The file contains the number of the process. It stays after the block; only the lock counts.

    Parameters
    ----------
    path
        Lock file in the folder that is protected; made if absent.
    kind, hint
        What the folder is and what to do if it is in use, for the message.
    error_class
        Class of the error.

    Raises
    ------
    FedCrossError
        Of the class `error_class`: if another process holds the lock, or the folder cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise error_class(
            f"The {kind} {path.parent.name} cannot be written: {error.strerror}."
        ) from error
    try:
        if not _try_lock(descriptor):
            holder = path.read_text(encoding="ascii", errors="replace").strip()
            raise error_class(
                f"The {kind} {path.parent.name} is in use by process {holder or 'unknown'}.", hint
            )
        with suppress(OSError):  # on a full disk; the number is only for the message above
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode("ascii"))
        yield
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock on the file `path`; false if there is no such file.

    Raises
    ------
    OutputError
        If the file cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise OutputError(f"{path.name} cannot be read: {error.strerror}.") from error
    try:
        return not _try_lock(descriptor)
    finally:
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    @contextmanager
    def exclusive(folder: Path) -> Iterator[None]:
        """Do nothing: Windows cannot lock a folder."""
        yield

    _LOCKED_BYTE = 1024  # after the number, because on Windows locked bytes cannot be read

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        os.lseek(descriptor, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    @contextmanager
    def exclusive(folder: Path) -> Iterator[None]:
        """Let one process at a time into the block; the others wait. It is for some renames only.

        Parameters
        ----------
        folder
            An existing folder, which stands for what is renamed in it. No file is made. On a file system
            that cannot lock folders, such as some network shares, there is no lock.

        Raises
        ------
        OSError
            If the folder cannot be opened.
        """
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
