"""Read a volume: NIfTI, NRRD, MetaImage, or DICOM (`fedcross.volumes.files.dicom`).

A volume that cannot be segmented is refused with one sentence (see `fedcross.volumes.files.checks`).
"""

import os
import stat
from pathlib import Path

import SimpleITK as sitk

from fedcross.errors import DataError
from fedcross.volumes.files.checks import check_values, check_volume
from fedcross.volumes.files.kinds import read_header
from fedcross.volumes.files.notes import add_note
from fedcross.volumes.files.opening import display_name
from fedcross.volumes.files.stored import StoredVolume
from fedcross.volumes.files.voxels import read_voxels

_DICOM_SUFFIXES = (".dcm", ".ima", ".dicom")


def read_volume(path: Path, series: str | None = None, *, channel: int | None = None) -> sitk.Image:
    """Read one 3D scalar volume.

    Parameters
    ----------
    path
        A file, or a folder that holds DICOM files.
    series
        Which volume of a DICOM folder or file: its number in the list that the error message gives, or
        its Series Instance UID; None if there is only one.
    channel
        Index from 0 of the volume in a file of several that is not DICOM; None if the file must hold
        one volume.

    Returns
    -------
    SimpleITK.Image
        Three dimensions, one finite number a voxel; axes (x, y, z), world LPS in mm. Its notes
        (`fedcross.volumes.files.notes`) say what a person should know, for example that the header does
        not state the orientation.

    Raises
    ------
    DataError
        If the path does not exist or cannot be read, the file is empty, damaged, shorter or longer than
        its header declares, is no image, is not 3D, has several values a voxel, holds NaN or infinity,
        or has axes that are not at right angles. Also if a folder holds no DICOM series, several volumes
        and none is chosen, or one whose slices are not stacked evenly and straight, and if `series` is
        given for a file of another format.
    """
    path = Path(os.path.abspath(path))  # "." has no name; unlike resolve(), this keeps links' names
    stored = _read_header(path)
    if stored is None:
        from fedcross.volumes.files.dicom.read import read_dicom

        image = read_dicom(path, series)
        check_volume(image, display_name(path))
        return image
    if series is not None:
        raise DataError(f"{stored.name} is no DICOM, so that there is no series to choose.")
    image = stored.grid.image(read_voxels(stored, _choose_volume(stored, channel)))
    check_values(image, stored.name)
    for sentence in stored.remarks:
        add_note(image, sentence)
    return image


def is_dicom(path: Path) -> bool:
    """Return whether `read_volume` reads a path as DICOM.

    Raises
    ------
    DataError
        If the path does not exist, or it is a file that cannot be read.
    """
    return _read_header(Path(os.path.abspath(path))) is None


def _read_header(path: Path) -> StoredVolume | None:
    """Read the header of a file that is not DICOM; None if the path is DICOM, or a folder."""
    return None if _is_folder(path) or _is_named_dicom(path) else read_header(path)


def _is_named_dicom(path: Path) -> bool:
    return path.name.lower().endswith(_DICOM_SUFFIXES) or path.name == "DICOMDIR"


def _is_folder(path: Path) -> bool:
    """Whether a path is a folder; raise DataError unless it is a folder or a regular file."""
    name = display_name(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise DataError(f"There is no file or folder named {name}.") from error
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # a null character
        raise DataError(f"{name!r} is not the name of a file.") from error
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise DataError(f"{name} is not a regular file.", "Give the file of a volume.")
    return stat.S_ISDIR(mode)


def _choose_volume(stored: StoredVolume, channel: int | None) -> int:
    name, count = stored.name, stored.volumes
    if channel is not None:
        if channel >= count:
            raise DataError(
                f"{name} has {count} channels, got channel = {channel}.",
                f"Set the site's channel to at most {count - 1}.",
            )
        return channel
    if count == 1:
        return 0
    if stored.is_vector:
        raise DataError(
            f"{name} has {count} values in every voxel (colour, vectors or complex numbers).",
            "Give a volume with one number a voxel.",
        )
    raise DataError(
        f"{name} is a 4D image of {count} volumes.",
        "Give one 3D volume of it; in a configuration for training, set the site's channel.",
    )
