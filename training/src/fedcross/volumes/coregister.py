"""Bring a further channel of a case onto the grid of the case's first image."""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from fedcross.errors import DataError
from fedcross.volumes.grid import Grid, find_difference

_PARALLEL = 1e-6  # length below which the cross product of two unit vectors has no direction


def onto_grid(
    scores: NDArray[np.float32], grid: Grid, first: Grid, names: tuple[str, str]
) -> NDArray[np.float32]:
    """Resample the z-scores of a further channel onto the grid of the first image, linearly.

    Parameters
    ----------
    scores
        z-scores on `grid`, float32 (D, H, W).
    grid
        Grid of the further channel.
    first
        Grid of the first image, with the axes in the same order.
    names
        Names of the first and of the further channel in messages.

    Returns
    -------
    NDArray
        float32 on `first`, (D, H, W); 0, the mean, outside the box of the further channel. `scores`
        itself if the grids differ by rounding only, see `fedcross.volumes.grid.find_difference`.

    Raises
    ------
    DataError
        If the boxes of the grids have no common point.
    """
    if find_difference(first, grid) is None:
        return scores
    check_overlap(grid, first, names)
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(first.size)
    resampler.SetOutputSpacing(first.spacing_mm)
    resampler.SetOutputOrigin(first.origin_mm)
    resampler.SetOutputDirection(first.direction)
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.SetDefaultPixelValue(0.0)
    found: NDArray[np.float32] = sitk.GetArrayFromImage(resampler.Execute(grid.image(scores)))
    return found


def check_overlap(grid: Grid, first: Grid, names: tuple[str, str]) -> None:
    """Refuse a further channel whose box does not overlap that of the first image.

    Parameters
    ----------
    grid, first
        Grids of the further channel and of the first image.
    names
        Names of the first and of the further channel in messages.

    Raises
    ------
    DataError
        If the boxes do not overlap, see `do_overlap`.
    """
    if not do_overlap(grid, first):
        raise DataError(
            f"The image for {names[1]} lies beside the image for {names[0]}: they have no common "
            "point in space.",
            "Give images of one examination, registered to each other.",
        )


def do_overlap(one: Grid, other: Grid) -> bool:
    """Return whether the boxes of two grids overlap; boxes that only touch do not.

    A box reaches half a voxel beyond the outermost voxel centres. Two boxes are apart if and only if
    their projections onto one of 15 directions are apart: the axes of both, and the cross products of
    an axis of one with an axis of the other (Gottschalk et al., "OBBTree", SIGGRAPH 1996).
    """
    crossed = np.cross(one.axes.T[:, None], other.axes.T[None]).reshape(-1, 3)
    crossed = crossed[np.linalg.norm(crossed, axis=1) > _PARALLEL]
    directions = np.vstack([one.axes.T, other.axes.T, crossed])  # (6 to 15, 3)
    half_edges = np.hstack([_half_edges(one), _half_edges(other)])  # (3, 6)
    reach = np.abs(directions @ half_edges).sum(axis=1)
    distance = np.abs(directions @ (_centre(one) - _centre(other)))
    return bool((distance < reach * (1 - 1e-6)).all())


def _half_edges(grid: Grid) -> NDArray[np.float64]:
    """Return the vectors from the centre of the box to its faces as columns (3, 3), in mm."""
    sides = np.array(grid.size, dtype=np.float64) * np.array(grid.spacing_mm)
    return np.asarray(grid.axes * (sides / 2))


def _centre(grid: Grid) -> NDArray[np.float64]:
    """Return the centre of the box in the world (3,), in mm."""
    middle = np.array([*((side - 1) / 2 for side in grid.size), 1.0])
    return np.asarray((grid.index_to_world @ middle)[:3])
