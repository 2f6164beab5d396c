"""Open files of volumes: regular files only, with one sentence for every failure."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from fedcross.contract.plain_text import plain_text
from fedcross.errors import DataError

_QUOTED = 40  # characters

# A named pipe must not block. Both flags exist on some systems only.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def display_name(path: Path) -> str:
    """Return a path's last part for messages; bytes that are not UTF-8 become question marks."""
    return plain_text(path.name)


def quoted(text: str) -> str:
    """Return the beginning of a text from a file in quotation marks, without hidden characters."""
    return repr(plain_text(text, _QUOTED))


def open_regular(path: Path, purpose: str = "") -> BinaryIO:
    """Open a regular file for reading.

    Parameters
    ----------
    path
        The file; links are followed.
    purpose
        What the file is for, in messages: ", the file of the voxels of scan.mhd,"; may be empty.

    Returns
    -------
    BinaryIO
        Unbuffered, at the first byte.

    Raises
    ------
    DataError
        If the file does not exist, cannot be read, is empty, or is a folder, a pipe or a device.
    """
    name = f"{display_name(path)}{purpose}"
    try:
        descriptor = os.open(path, _FLAGS)
    except FileNotFoundError as error:
        if purpose:
            raise DataError(f"{name} is not there.", "Put it beside the header.") from error
        raise DataError(f"There is no file or folder named {name}.") from error
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # a name with a null character
        raise DataError(f"{name!r} is not the name of a file.") from error
    file = open(descriptor, "rb", buffering=0)  # noqa: SIM115 - the caller closes it
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        file.close()
        raise DataError(f"{name} is not a regular file.", "Give the file of a volume.")
    if found.st_size == 0:
        file.close()
        raise DataError(f"{name} is empty.", "Copy or export it again.")
    return file


def size_in_bytes(file: BinaryIO) -> int:
    """Return the length of an open file."""
    return os.fstat(file.fileno()).st_size


def data_file_beside(header: Path, named: str) -> Path:
    """Return the file of voxels that a header names, which must be in the header's folder.

    ``./`` before the name is no folder: teem writes it.

    Raises
    ------
    DataError
        If the name has a folder in it, names several files, or is that of the header.
    """
    name = display_name(header)
    named = named.removeprefix("./").removeprefix(".\\")
    if not named or named in (".", "..") or any(sign in named for sign in '/\\:\0\n\r*?"<>|'):
        raise DataError(
            f"{name} names {quoted(named)} as the file of its voxels, which is not the name of a file "
            "beside it.",
            "Put the file beside the header, and only its name into the header.",
        )
    if "%" in named or named.split()[0].upper() == "LIST":
        raise DataError(
            f"{name} keeps its voxels in several files ({quoted(named)}), which is not supported.",
            "Save the volume as one file.",
        )
    if named == header.name:
        raise DataError(f"{name} names itself as the file of its voxels.", "Export it again.")
    return header.parent / named
