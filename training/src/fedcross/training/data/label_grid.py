"""Bring a label map onto its image's grid: unchanged, with reordered axes, or resampled."""

from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from fedcross.errors import DataError
from fedcross.volumes.grid import Grid, find_difference, restore_order


def to_image_grid(label: sitk.Image, image: sitk.Image, *, resample: bool) -> NDArray[Any]:
    """The label's values at the image's voxels.

    Headers are rounded differently by different programs, so small differences are ignored, see
    `describe_difference`. A label with the image's voxels in another order or direction of axes (some
    converters write this) is reordered exactly.

    Parameters
    ----------
    label, image
        3D images.
    resample
        Whether a label on another grid is resampled by nearest neighbour, with 0 outside of it. If
        false, such a label is an error.

    Returns
    -------
    ndarray
        (D, H, W) = (z, y, x), with the label's dtype.

    Raises
    ------
    DataError
        If the grids differ and `resample` is false, or labelled voxels are outside the image.
    """
    grid, wanted = Grid.of(label), Grid.of(image)
    array: NDArray[Any] = sitk.GetArrayFromImage(label)
    if describe_difference(grid, wanted) is None:
        return array
    mismatch = describe_mismatch(label, image)
    if mismatch is None:
        return restore_order(array, grid, _reorder_axes(grid, wanted))
    if not resample:
        raise DataError(
            f"{mismatch}.",
            "Correct the label, or set the site's resample_labels = true if both are right.",
        )
    outside = _count_labelled_outside(array, grid, wanted)
    if outside:
        raise DataError(
            f"{outside} labelled voxels are outside the image.",
            "Check whether the label belongs to another image.",
        )
    return _resample_nearest(array, grid, wanted)


def describe_mismatch(label: sitk.Image, image: sitk.Image) -> str | None:
    """Describe how a label's grid differs from the image's; None if at most its axes' order does."""
    grid, wanted = Grid.of(label), Grid.of(image)
    if describe_difference(_reorder_axes(grid, wanted), wanted) is None:
        return None
    return describe_difference(grid, wanted)


def describe_difference(label: Grid, image: Grid) -> str | None:
    """Describe the first difference of two grids, see `find_difference`; None if there is none."""
    difference = find_difference(image, label)
    if difference is None:
        return None
    what, ours, theirs = difference
    if what == "size":
        return f"the image has {image.size} voxels, the label {label.size}"
    return f"the image's {what} is {_rounded(ours)}, the label's {_rounded(theirs)}"


def _reorder_axes(grid: Grid, wanted: Grid) -> Grid:
    """The same voxels with the order and the directions of axes closest to those of `wanted`."""
    relation = grid.axes.T @ wanted.axes  # row: an axis of `grid`, column: of `wanted`
    source = np.abs(relation).argmax(axis=0)
    if sorted(source.tolist()) != [0, 1, 2]:
        return grid  # no unique order: two axes are closest to the same axis of `wanted`
    sign = np.sign(relation[source, range(3)])
    corner = np.zeros(3)  # index in `grid` of the voxel that becomes the first one
    corner[source] = np.where(sign < 0, np.array(grid.size)[source] - 1, 0)
    x, y, z = (grid.index_to_world @ [*corner, 1])[:3].tolist()
    i, j, k = source.tolist()
    return Grid(
        (grid.size[i], grid.size[j], grid.size[k]),
        (grid.spacing_mm[i], grid.spacing_mm[j], grid.spacing_mm[k]),
        (x, y, z),
        tuple((grid.axes[:, source] * sign).flatten().tolist()),
    )


def _resample_nearest(array: NDArray[Any], grid: Grid, image: Grid) -> NDArray[Any]:
    """The value of the nearest label voxel at every voxel of the image, 0 outside the label.

    Half way between two voxels the one with the higher index is taken. Indices are rounded to 4
    decimals first, so that rounding in the headers does not mix two slices in one.
    """
    matrix = np.linalg.inv(grid.index_to_world) @ image.index_to_world
    found = np.zeros(image.shape, array.dtype)
    columns, rows, slices = image.size
    y, x = np.mgrid[:rows, :columns]
    for z in range(slices):
        voxel = np.stack([x, y, np.full_like(x, z), np.ones_like(x)])
        index = np.tensordot(matrix[:3], voxel, axes=1)  # (3, rows, columns) as (x, y, z)
        i, j, k = np.floor(index.round(4) + 0.5).astype(np.intp)
        inside = np.ones((rows, columns), bool)
        for place, count in zip((i, j, k), grid.size, strict=True):
            inside &= (place >= 0) & (place < count)
        found[z][inside] = array[k[inside], j[inside], i[inside]]
    return found


def _count_labelled_outside(array: NDArray[Any], grid: Grid, image: Grid) -> int:
    """The number of labelled voxels whose centre is outside the image's box."""
    voxels = np.argwhere(array)[:, ::-1]  # (n, 3) as (x, y, z)
    world = np.c_[voxels, np.ones(len(voxels))] @ grid.index_to_world.T
    index = (world @ np.linalg.inv(image.index_to_world).T)[:, :3]
    inside = (index > -0.5 - 1e-3) & (index < np.array(image.size) - 0.5 + 1e-3)
    return int(np.count_nonzero(~inside.all(axis=1)))


def _rounded(values: Any) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)
