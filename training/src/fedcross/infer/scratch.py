"""Temporary files without a name: the operating system removes them when the process ends."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from fedcross.errors import OutputError


class Scratch:
    """Opens temporary files in one folder; `scratch` closes them.

    Parameters
    ----------
    folder
        Existing folder.
    files
        Closes the files.
    """

    def __init__(self, folder: Path, files: ExitStack) -> None:
        self.folder = folder
        self._files = files

    def open(self) -> IO[bytes]:
        """Open an empty file for reading and writing."""
        return self._files.enter_context(tempfile.TemporaryFile(dir=self.folder))


@contextmanager
def scratch(folder: Path) -> Iterator[Scratch]:
    """Yield a `Scratch` in an existing folder, and close its files at the end."""
    with ExitStack() as files:
        yield Scratch(folder, files)


@contextmanager
def write_errors(folder: Path) -> Iterator[None]:
    """Raise an `OutputError` for a system error inside: the disk is full, or writing is not allowed.

    Parameters
    ----------
    folder
        Where files are written; only its last name is in the message.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # from a reporter whose reader is gone, not from a file
    except OSError as error:
        raise OutputError(
            f"The results cannot be written to the folder {folder.name}: {error.strerror}.",
            "Check its permissions and the free space.",
        ) from error
