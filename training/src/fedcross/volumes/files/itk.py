"""Control of ITK's global warning display, and of the names of files that ITK opens."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import SimpleITK as sitk

from fedcross.errors import DataError
from fedcross.volumes.files.opening import display_name


@contextmanager
def hide_itk_warnings() -> Iterator[None]:
    """Hide ITK's warnings inside the context, because they quote whole paths."""
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)


def itk_path(path: Path) -> str:
    """Return the text that SimpleITK turns into the bytes of a path.

    SimpleITK encodes text as UTF-8, whatever the encoding of the system. It ends the process if the text
    cannot be encoded.

    Raises
    ------
    DataError
        If the bytes of the path are not UTF-8.
    """
    try:
        return os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"The path of {display_name(path)} has a name that is not UTF-8.",
            "Rename the file or the folder.",
        ) from error
