"""Read a volume: NIfTI, NRRD and MetaImage with SimpleITK, DICOM with `fedcross.volumes.files.dicom`.

A volume that cannot be segmented is refused with one sentence (see `fedcross.volumes.files.checks`).
"""

import os
import stat
from pathlib import Path

import SimpleITK as sitk

from fedcross.errors import DataError
from fedcross.volumes.files.checks import (
    FORMATS,
    check_finite,
    check_header,
    check_volume,
    count_voxels,
)
from fedcross.volumes.files.itk import hide_itk_warnings
from fedcross.volumes.files.nifti import check_voxels

_DICOM_SUFFIXES = (".dcm", ".ima", ".dicom")


def read_volume(path: Path, series: str | None = None) -> sitk.Image:
    """Read one 3D scalar volume.

    Parameters
    ----------
    path
        A file, or a folder that holds DICOM files.
    series
        Which volume of a DICOM folder or file: its number in the list that the error message gives, or
        its Series Instance UID; None if there is only one.

    Returns
    -------
    SimpleITK.Image
        Three dimensions, one finite number a voxel; axes (x, y, z), world LPS in mm.

    Raises
    ------
    DataError
        If the path does not exist or cannot be read, the file is empty, damaged or cut short, is no
        image, is not 3D, has several values a voxel, holds NaN or infinity, or has axes that are not
        at right angles. Also if a folder holds no DICOM series, several volumes and none is chosen, or
        one whose slices are not stacked evenly and straight, and if `series` is given for a file of
        another format.
    """
    path = Path(os.path.abspath(path))  # "." has no name; unlike resolve(), this keeps links' names
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError as error:
        raise DataError(f"There is no file or folder named {path.name}.") from error
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror}.") from error
    if is_folder or _is_dicom(path):
        from fedcross.volumes.files.dicom.read import read_dicom

        image = read_dicom(path, series)
    elif series is not None:
        raise DataError(f"{path.name} is no DICOM, so that there is no series to choose.")
    else:
        image = _read_file(path)
    check_volume(image, path.name)
    return image


def _is_dicom(path: Path) -> bool:
    """Whether a file's name or its first bytes are those of DICOM."""
    if path.name.lower().endswith(_DICOM_SUFFIXES) or path.name == "DICOMDIR":
        return True
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror}.") from error


def _read_file(path: Path) -> sitk.Image:
    """Read a file that is not DICOM."""
    with hide_itk_warnings():
        reader = _make_reader(path)
        try:
            image = reader.Execute()
        except RuntimeError as error:
            raise DataError(f"{path.name} is damaged or cut short.", "Export it again.") from error
    return image[:, :, :, 0] if image.GetDimension() == 4 else image


def _make_reader(path: Path) -> sitk.ImageFileReader:
    """Return a reader for one file after checking its header and its voxels."""
    if path.stat().st_size == 0:
        raise DataError(f"{path.name} is empty.", "Copy or export it again.")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise DataError(f"{path.name} is not an image that can be read.", FORMATS) from error
    check_header(reader, path.name)
    check = check_voxels(path, count_voxels(reader.GetSize()))
    if not check.complete:
        raise DataError(f"{path.name} is damaged or cut short.", "Copy or export it again.")
    check_finite(check.not_finite, path.name)
    return reader
