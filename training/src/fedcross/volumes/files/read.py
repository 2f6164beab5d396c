"""Read a volume with SimpleITK: NIfTI, NRRD, MetaImage, or a folder with one DICOM series.

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
    check_slices,
    check_volume,
    count_voxels,
)
from fedcross.volumes.files.itk import hide_itk_warnings
from fedcross.volumes.files.nifti import check_voxels


def read_volume(path: Path) -> sitk.Image:
    """Read one 3D scalar volume.

    Parameters
    ----------
    path
        A file, or a folder that holds the slices of one DICOM series.

    Returns
    -------
    SimpleITK.Image
        Three dimensions, one finite number a voxel; axes (x, y, z), world LPS in mm.

    Raises
    ------
    DataError
        If the path does not exist or cannot be read, the file is empty, damaged or cut short, is no
        image, is not 3D, has several values a voxel, holds NaN or infinity, or has axes that are not
        at right angles. Also if a folder holds no DICOM series, several series, or one whose slices
        are not stacked evenly and straight.
    """
    path = Path(os.path.abspath(path))  # "." has no name; unlike resolve(), this keeps links' names
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError as error:
        raise DataError(f"There is no file or folder named {path.name}.") from error
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror}.") from error
    files = _series_files(path) if is_folder else [path]
    with hide_itk_warnings():
        reader = _make_reader(files)
        try:
            image = reader.Execute()
        except RuntimeError as error:
            raise DataError(f"{path.name} is damaged or cut short.", "Export it again.") from error
    if image.GetDimension() == 4:
        image = image[:, :, :, 0]
    check_slices(image, files, path.name)
    check_volume(image, path.name)
    return image


def _series_files(folder: Path) -> list[Path]:
    """Return the slices of the only DICOM series in a folder, in order."""
    with hide_itk_warnings():
        series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
        if not series:
            raise DataError(f"The folder {folder.name} holds no DICOM series.", FORMATS)
        if len(series) > 1:
            raise DataError(
                f"The folder {folder.name} holds {len(series)} DICOM series.",
                "Choose a folder with one series.",
            )
        names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series[0])
    return [Path(name) for name in names]


def _make_reader(files: list[Path]) -> sitk.ImageFileReader | sitk.ImageSeriesReader:
    """Return a reader for a series, or for one file after checking its header and its voxels."""
    if len(files) > 1:
        series = sitk.ImageSeriesReader()
        series.SetFileNames([str(file) for file in files])
        return series
    path = files[0]
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
