"""Checks that an image can be segmented: 3D, one finite number a voxel, axes at right angles.

Every message names the file or folder, never the path to it: paths often hold patients' names.
"""

import numpy as np
import SimpleITK as sitk

from fedcross.errors import DataError

MAX_VOXELS = 2**30
"""Larger volumes are refused before they fill the memory; no scanner writes that many voxels."""

MAX_SHEAR = 0.01
"""Largest cosine between two axes. It allows for rounding in files; voxels are treated as boxes."""

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


def check_volume(image: sitk.Image, name: str) -> None:
    """Check that a 3D image can be segmented.

    Parameters
    ----------
    image
        Image with three axes.
    name
        Name of the image in messages.

    Raises
    ------
    DataError
        If the axes are not at right angles, the image is too large, has several values a voxel, or
        contains NaN or infinity.
    """
    check_axes(image, name)
    check_size(image.GetSize(), name)
    check_values(image, name)


def check_header(reader: sitk.ImageFileReader, name: str) -> None:
    """Refuse a file whose header is not that of one 3D scalar volume; `name` is its name."""
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
    check_size(size, name)


def check_size(size: tuple[int, ...], name: str) -> None:
    """Refuse a volume of more than `MAX_VOXELS` voxels."""
    if count_voxels(size) > MAX_VOXELS:
        shape = " x ".join(str(side) for side in size)
        raise DataError(
            f"{name} has {shape} voxels, more than the {MAX_VOXELS} that are accepted.", "Crop it."
        )


def count_voxels(size: tuple[int, ...]) -> int:
    """Return the number of voxels of an image of `size`; products beyond int64 do not overflow."""
    return int(np.prod(size, dtype=np.float64))


def check_axes(image: sitk.Image, name: str) -> None:
    """Refuse an image whose axes are not at right angles, within `MAX_SHEAR`."""
    axes = np.array(image.GetDirection()).reshape(3, 3)
    off = float(np.abs(axes.T @ axes - np.eye(3)).max())
    if not off < MAX_SHEAR:  # this form also refuses NaN
        raise DataError(
            f"The axes of {name} are not at right angles (cosine {off:.3g}).",
            "Resample it to a box.",
        )


def check_values(image: sitk.Image, name: str) -> None:
    """Refuse an image with several values a voxel, or with NaN or infinite values."""
    if image.GetPixelID() not in _SCALARS:
        raise DataError(f"{name} has several values in every voxel.", FORMATS)
    if image.GetPixelID() not in _FLOATS:
        return
    planes = sitk.GetArrayViewFromImage(image)
    check_finite(sum(int(np.count_nonzero(~np.isfinite(plane))) for plane in planes), name)


def check_finite(not_finite: int, name: str) -> None:
    """Refuse an image with `not_finite` voxels that are NaN or infinite, if that is not 0."""
    if not_finite:
        raise DataError(
            f"{name} has {not_finite} voxels that are not finite numbers (NaN or infinity).",
            "Replace them, for example by 0.",
        )
