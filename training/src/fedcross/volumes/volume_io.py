"""Read and write volumes with SimpleITK: NIfTI, NRRD, MetaImage, or a DICOM series folder.

Whatever cannot be segmented is refused here with one sentence that names the file, never its folder:
paths often hold patients' names.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from fedcross.errors import DataError, OutputError
from fedcross.volumes.nifti import inspect

MAX_VOXELS = 2**30
"""More voxels than any scanner writes; larger volumes are refused before they fill the memory."""

MAX_SHEAR = 0.01
"""Largest cosine between two axes: what files round, and not more, for voxels are taken for boxes."""

FORMATS = "Give a 3D scalar volume as NIfTI, NRRD, MetaImage or a folder with one DICOM series."

_FLOATS = {sitk.sitkFloat32, sitk.sitkFloat64}
_SCALARS = _FLOATS | {
    sitk.sitkUInt8,
    sitk.sitkInt8,
    sitk.sitkUInt16,
    sitk.sitkInt16,
    sitk.sitkUInt32,
    sitk.sitkInt32,
    sitk.sitkUInt64,
    sitk.sitkInt64,
}
_UNEVEN_SLICES = "ITK_non_uniform_sampling_deviation"


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
        If there is nothing, it is no image, it is not 3D, it has several values a voxel, it holds
        NaN or infinity, it is cut short, its axes are not at right angles, or the folder holds several
        series or one whose slices are not stacked evenly and straight.
    """
    path = Path(os.path.abspath(path))  # "." has no name; links keep theirs
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError as error:
        raise DataError(f"There is no file or folder named {path.name}.") from error
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror}.") from error
    files = _series_files(path) if is_folder else [path]
    with without_warnings():
        reader = _reader(files)
        try:
            image = reader.Execute()
        except RuntimeError as error:
            raise DataError(f"{path.name} is damaged or cut short.", "Export it again.") from error
    if image.GetDimension() == 4:
        image = image[:, :, :, 0]
    _check_slices(image, files, path.name)
    check_volume(image, path.name)
    return image


def check_volume(image: sitk.Image, name: str) -> None:
    """Raise an error for a 3D image that cannot be segmented.

    Parameters
    ----------
    image
        Three dimensions.
    name
        Its name in the error.

    Raises
    ------
    DataError
        If its axes are not at right angles, it is too large, it has several values a voxel, or it holds
        NaN or infinity.
    """
    _check_axes(image, name)
    _check_size(image.GetSize(), name)
    _check_values(image, name)


def write_volume(image: sitk.Image, path: Path) -> None:
    """Write `image` compressed; the file appears whole or not at all, the same bytes every time.

    Parameters
    ----------
    image
        What to write.
    path
        Its suffix picks the format, one that keeps header and voxels in one file.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    # The suffix picks the format, so the temporary name goes in front of it.
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    with without_warnings():
        try:
            sitk.WriteImage(image, str(partial), useCompression=True)
            partial.replace(path)
        except (RuntimeError, OSError) as error:
            raise OutputError(
                f"{path.name} cannot be written.", "Check the folder's permissions and free space."
            ) from error
        finally:
            with suppress(OSError):  # nothing to remove, or no way to
                partial.unlink()


@contextmanager
def without_warnings() -> Iterator[None]:
    """Keep ITK's warnings, which quote whole paths, off the screen."""
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)


def _series_files(folder: Path) -> list[Path]:
    """Return the slices of the only DICOM series in a folder, in order."""
    with without_warnings():
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


def _reader(files: list[Path]) -> sitk.ImageFileReader | sitk.ImageSeriesReader:
    """Return a reader for a series, or for one file whose header has been found fit."""
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
    _check_header(reader, path.name)
    contents = inspect(path, _voxels(reader.GetSize()))
    if not contents.complete:
        raise DataError(f"{path.name} is damaged or cut short.", "Copy or export it again.")
    _check_finite(contents.not_finite, path.name)
    return reader


def _check_header(reader: sitk.ImageFileReader, name: str) -> None:
    size = reader.GetSize()
    if len(size) == 4 and size[3] > 1:
        raise DataError(f"{name} is a 4D image of {size[3]} volumes.", "Give one 3D volume of it.")
    if len(size) not in (3, 4):
        raise DataError(f"{name} is a {len(size)}D image.", "Give a 3D volume.")
    if reader.GetPixelIDValue() not in _SCALARS:
        raise DataError(
            f"{name} has {reader.GetNumberOfComponents()} values in every voxel (colour, vectors or "
            "complex numbers).",
            "Give a volume with one number a voxel.",
        )
    _check_size(size, name)


def _check_size(size: tuple[int, ...], name: str) -> None:
    if _voxels(size) > MAX_VOXELS:
        shape = " x ".join(str(side) for side in size)
        raise DataError(
            f"{name} has {shape} voxels, more than the {MAX_VOXELS} that are accepted.", "Crop it."
        )


def _voxels(size: tuple[int, ...]) -> int:
    return int(np.prod(size, dtype=np.float64))


def _check_slices(image: sitk.Image, files: list[Path], name: str) -> None:
    """Refuse a series that is no box: with missing slices, or by a tilted gantry.

    ITK stacks slices along the normal of the first one, as far apart as they are on average: other
    slices would be in a wrong place.
    """
    if len(files) < 2:
        return
    last = np.array(image.TransformIndexToPhysicalPoint((0, 0, len(files) - 1)))
    aside_mm = float(np.linalg.norm(_position_mm(files[-1]) - last))
    if aside_mm > min(image.GetSpacing()):
        raise DataError(
            f"The slices of {name} are not stacked straight: the last one lies {aside_mm:.3g} mm aside "
            "(a tilted gantry, or several pictures of one place).",
            "Resample it to a box.",
        )
    if not image.HasMetaDataKey(_UNEVEN_SLICES):  # also there for mere rounding
        return
    positions = [_position_mm(file) for file in files]
    steps_mm = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    if np.ptp(steps_mm) > 0.1 * np.median(steps_mm):
        raise DataError(
            f"The slices of {name} lie {steps_mm.min():.3g} to {steps_mm.max():.3g} mm apart: some "
            "are missing.",
            "Export the whole series again.",
        )


def _position_mm(file: Path) -> NDArray[np.float64]:
    """Return where a slice's first voxel lies, LPS (3,)."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(file))
    reader.ReadImageInformation()
    return np.array(reader.GetOrigin())


def _check_axes(image: sitk.Image, name: str) -> None:
    axes = np.array(image.GetDirection()).reshape(3, 3)
    off = float(np.abs(axes.T @ axes - np.eye(3)).max())
    if not off < MAX_SHEAR:  # so written, NaN fails too
        raise DataError(
            f"The axes of {name} are not at right angles (cosine {off:.3g}).",
            "Resample it to a box.",
        )


def _check_values(image: sitk.Image, name: str) -> None:
    if image.GetPixelID() not in _SCALARS:  # of a series only now known
        raise DataError(f"{name} has several values in every voxel.", FORMATS)
    if image.GetPixelID() not in _FLOATS:
        return
    planes = sitk.GetArrayViewFromImage(image)
    _check_finite(sum(int(np.count_nonzero(~np.isfinite(plane))) for plane in planes), name)


def _check_finite(bad: int, name: str) -> None:
    if bad:
        raise DataError(
            f"{name} has {bad} voxels that are not finite numbers (NaN or infinity).",
            "Replace them, for example by 0.",
        )
