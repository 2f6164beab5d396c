"""Checks that an image can be segmented: 3D, one finite number a voxel, axes at right angles.

Every message names the file or folder, never the path to it: paths often hold patients' names.
"""

from collections.abc import Iterable

import numpy as np
import SimpleITK as sitk

from fedcross.errors import DataError
from fedcross.volumes.grid import Grid

MAX_VOXELS = 2**30
"""Larger volumes are refused before they fill the memory; no scanner writes that many voxels."""

MAX_SHEAR = 0.01
"""Largest cosine between two axes. It allows for rounding in files; voxels are treated as boxes."""

MIN_SPACING_MM, MAX_SPACING_MM = 1e-6, 1e4
"""Range of the distance between voxel centres: a nanometre to ten metres."""

MAX_POSITION_MM = 1e6
"""Largest coordinate of the first voxel. Beyond a kilometre, float32 does not hold tenths of a mm."""

FORMATS = "Give a 3D scalar volume as NIfTI, NRRD, MetaImage or a folder with one DICOM series."

_EXPORT_AGAIN = "Correct its header, or export it again."
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
        If the image is too large, has a geometry that `check_grid` refuses, has several values a voxel,
        or contains NaN or infinity.
    """
    check_size(image.GetSize(), name)
    check_grid(Grid.of(image), name)
    check_values(image, name)


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


def check_grid(grid: Grid, name: str) -> None:
    """Check where a volume lies.

    Parameters
    ----------
    grid
        Size, spacing, origin and direction.
    name
        Name of the volume in messages.

    Raises
    ------
    DataError
        If a number is not finite, the spacing is outside `MIN_SPACING_MM` to `MAX_SPACING_MM`, a
        coordinate of the origin is above `MAX_POSITION_MM`, or the axes are not at right angles.
    """
    check_spacing(grid.spacing_mm, name)
    if not all(abs(place) <= MAX_POSITION_MM for place in grid.origin_mm):  # also refuses NaN
        raise DataError(
            f"The origin of {name} is {_shown(grid.origin_mm)} mm; every coordinate must be within "
            f"{MAX_POSITION_MM:g} mm.",
            _EXPORT_AGAIN,
        )
    with np.errstate(all="ignore"):
        off = float(np.abs(grid.axes.T @ grid.axes - np.eye(3)).max())
    if not off < MAX_SHEAR:  # this form also refuses NaN
        raise DataError(
            f"The axes of {name} are not at right angles (cosine {off:.3g}).",
            "Resample it to a box.",
        )


def check_spacing(spacing_mm: Iterable[float], name: str) -> None:
    """Refuse a spacing outside `MIN_SPACING_MM` to `MAX_SPACING_MM`, or NaN; see `check_grid`."""
    sides = tuple(spacing_mm)
    if not all(MIN_SPACING_MM <= side <= MAX_SPACING_MM for side in sides):
        raise DataError(
            f"The voxels of {name} measure {_shown(sides)} mm; every side must have "
            f"{MIN_SPACING_MM:g} to {MAX_SPACING_MM:g} mm.",
            _EXPORT_AGAIN,
        )


def _shown(values: Iterable[float]) -> str:
    return " x ".join(f"{value:.4g}" for value in values)


def check_values(image: sitk.Image, name: str) -> None:
    """Refuse an image with several values a voxel, or with NaN or infinite values."""
    if image.GetPixelID() not in _SCALARS:
        raise DataError(f"{name} has several values in every voxel.", FORMATS)
    if image.GetPixelID() not in _FLOATS:
        return
    planes = sitk.GetArrayViewFromImage(image)
    not_finite = sum(int(np.count_nonzero(~np.isfinite(plane))) for plane in planes)
    if not_finite:
        raise DataError(
            f"{name} has {not_finite} voxels that are not finite numbers (NaN or infinity).",
            "Replace them, for example by 0.",
        )
