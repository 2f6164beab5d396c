"""A label map onto its image's grid: as it is, reordered, or where that is allowed resampled."""

from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from fedcross.errors import DataError
from fedcross.volumes.grid import Grid, restore_order


def on_image_grid(label: sitk.Image, image: sitk.Image, *, resample: bool) -> NDArray[Any]:
    """The label's values at the image's voxels.

    Files round their headers differently: a tenth of a voxel is no mismatch. A label whose voxels
    are the image's in another order of axes (as converters store them) is reordered exactly.

    Parameters
    ----------
    label, image
        3D.
    resample
        Whether a label on another grid is sampled by nearest neighbour; outside of it lies 0.

    Returns
    -------
    ndarray
        (D, H, W), the label's type.

    Raises
    ------
    DataError
        If the grids differ and may not, or labelled voxels lie outside the image.
    """
    grid, wanted = Grid.of(label), Grid.of(image)
    array: NDArray[Any] = sitk.GetArrayFromImage(label)
    if difference(grid, wanted) is None:
        return array
    told = other_grid(label, image)
    if told is None:
        return restore_order(array, grid, _in_order_of(grid, wanted))
    if not resample:
        raise DataError(
            f"{told}.", "Correct it, or set the site's resample_labels = true if both are right."
        )
    outside = _labelled_outside(array, grid, wanted)
    if outside:
        raise DataError(
            f"{outside} labelled voxels lie outside the image.", "The label is another image's."
        )
    return _nearest(array, grid, wanted)


def other_grid(label: sitk.Image, image: sitk.Image) -> str | None:
    """How a label's grid differs from the image's by more than the order of axes; None: not at all."""
    grid, wanted = Grid.of(label), Grid.of(image)
    if difference(_in_order_of(grid, wanted), wanted) is None:
        return None
    return difference(grid, wanted)


def difference(label: Grid, image: Grid) -> str | None:
    """What differs, in words; None if nothing does by more than files round."""
    if image.size != label.size:
        return f"the image has {image.size} voxels, the label {label.size}"
    smallest = min(image.spacing_mm)
    for what, ours, theirs, tolerance in (
        ("spacing", image.spacing_mm, label.spacing_mm, 1e-3 * smallest),
        ("direction", image.direction, label.direction, 1e-3),
        ("origin", image.origin_mm, label.origin_mm, 0.1 * smallest),
    ):
        if np.abs(np.subtract(ours, theirs)).max() > tolerance:
            return f"the image's {what} is {_rounded(ours)}, the label's {_rounded(theirs)}"
    return None


def _in_order_of(grid: Grid, wanted: Grid) -> Grid:
    """The same voxels with the axes in another grid's order, as near as they come to it."""
    relation = grid.axes.T @ wanted.axes  # row: an axis of `grid`, column: of `wanted`
    source = np.abs(relation).argmax(axis=0)
    if sorted(source.tolist()) != [0, 1, 2]:
        return grid  # halfway between two orders
    sign = np.sign(relation[source, range(3)])
    corner = np.zeros(3)  # the voxel that comes first, as an index of `grid`
    corner[source] = np.where(sign < 0, np.array(grid.size)[source] - 1, 0)
    x, y, z = (grid.index_to_world @ [*corner, 1])[:3].tolist()
    i, j, k = source.tolist()
    return Grid(
        (grid.size[i], grid.size[j], grid.size[k]),
        (grid.spacing_mm[i], grid.spacing_mm[j], grid.spacing_mm[k]),
        (x, y, z),
        tuple((grid.axes[:, source] * sign).flatten().tolist()),
    )


def _nearest(array: NDArray[Any], grid: Grid, image: Grid) -> NDArray[Any]:
    """The nearest voxel's value at every voxel of the image, 0 outside.

    Half way between two voxels it is the one of the higher index, however the headers are rounded:
    otherwise a slice between two others would be a patchwork of both.
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


def _labelled_outside(array: NDArray[Any], grid: Grid, image: Grid) -> int:
    """How many labelled voxels have their centre outside the image's box."""
    voxels = np.argwhere(array)[:, ::-1]  # (n, 3) as (x, y, z)
    world = np.c_[voxels, np.ones(len(voxels))] @ grid.index_to_world.T
    index = (world @ np.linalg.inv(image.index_to_world).T)[:, :3]
    inside = (index > -0.5 - 1e-3) & (index < np.array(image.size) - 0.5 + 1e-3)
    return int(np.count_nonzero(~inside.all(axis=1)))


def _rounded(values: Any) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)
