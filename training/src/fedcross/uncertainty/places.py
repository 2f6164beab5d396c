"""Places of limited size that together hold as much as possible of a map, for example of its doubt."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # scipy imports its submodules on first use, which keeps the start of a process fast
from numpy.typing import NDArray

Triple = tuple[float, float, float]

CELLS_PER_RADIUS = 4
MAX_CELLS = 20_000


@dataclass(frozen=True)
class Place:
    """Some voxels near each other.

    Attributes
    ----------
    indices : NDArray
        intp (n, 3): indices (z, y, x) of the voxels, in the order of the array.
    weight : float
        Sum of the map over them.
    """

    indices: NDArray[np.intp]
    weight: float


def find_places(
    weights: NDArray[np.floating], spacing_mm: Sequence[float], radius_mm: float, limit: int
) -> list[Place]:
    """Choose places one after another, each with the largest sum of what is left of a map.

    A place is what lies within `radius_mm` of its centre and in no earlier place. The choice is the
    greedy one for maximum coverage: n places hold at least 1 - 1/e = 63 % of what any n places of this
    size can hold (Nemhauser, Wolsey and Fisher, "An analysis of approximations for maximizing
    submodular set functions", Mathematical Programming 1978).

    Voxels are gathered in cells with sides of about a quarter of the radius. Centres are centres of
    cells, and a cell belongs to a place as a whole. Only the `MAX_CELLS` cells with the largest sums are
    used, so that time and memory do not grow with what the map holds.

    Parameters
    ----------
    weights
        The map (D, H, W), not negative; voxels that are 0 belong to no place.
    spacing_mm
        Distances of the voxels along the array's axes (z, y, x).
    radius_mm
        Radius of a place, above 0.
    limit
        Largest number of places.

    Returns
    -------
    list of Place
        In the order of the choice, which is that of falling weights.

    Raises
    ------
    ValueError
        If the map is not 3D or the radius is not above 0.
    """
    if weights.ndim != 3 or not radius_mm > 0:
        raise ValueError(
            f"the map must be 3D and the radius above 0, got {weights.shape} and {radius_mm}."
        )
    spacing = np.asarray(spacing_mm, np.float64)
    sides = np.maximum(1, np.floor(radius_mm / CELLS_PER_RADIUS / spacing + 1e-9)).astype(np.intp)
    sums = _sum_cells(weights, sides)
    used = np.flatnonzero(sums)
    if len(used) > MAX_CELLS:
        used = np.sort(used[np.argpartition(-sums.ravel()[used], MAX_CELLS)[:MAX_CELLS]])
    cells = np.stack(np.unravel_index(used, sums.shape), axis=1)  # (n, 3)
    centres = (cells * sides + (sides - 1) / 2) * spacing
    chosen = _choose(sums.ravel()[used], centres, radius_mm, limit)
    return [_make_place(weights, cells[each], sides) for each in chosen]


def ball(radius_mm: float, spacing_mm: Sequence[float]) -> NDArray[np.intp]:
    """Return the offsets (n, 3) of the voxels within a radius of a voxel, which is among them.

    Parameters
    ----------
    radius_mm
        Radius, not negative.
    spacing_mm
        Distances of the voxels along the array's axes.
    """
    reach = [math.floor(radius_mm / step + 1e-9) for step in spacing_mm]
    axes = [np.arange(-each, each + 1) for each in reach]
    offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = np.linalg.norm(offsets * np.asarray(spacing_mm), axis=1) <= radius_mm + 1e-9
    return np.asarray(offsets[inside], np.intp)


def border_voxels(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where a voxel shares a face with a voxel of another label, bool of the same shape."""
    border = np.zeros(labels.shape, np.bool_)
    for axis in range(labels.ndim):
        lower, upper = [slice(None)] * labels.ndim, [slice(None)] * labels.ndim
        lower[axis], upper[axis] = slice(None, -1), slice(1, None)
        differ = labels[tuple(lower)] != labels[tuple(upper)]
        border[tuple(lower)] |= differ
        border[tuple(upper)] |= differ
    return border


def _sum_cells(weights: NDArray[np.floating], sides: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the sum of the map in each cell of `sides` voxels; the last ones may be smaller."""
    sums = weights
    for axis, side in enumerate(sides):
        starts = np.arange(0, weights.shape[axis], side)
        sums = np.add.reduceat(sums, starts, axis=axis, dtype=np.float64)
    return np.asarray(sums, np.float64)


def _choose(
    sums: NDArray[np.float64], centres: NDArray[np.float64], radius_mm: float, limit: int
) -> list[NDArray[np.intp]]:
    """Return the cells of each place."""
    count = len(sums)
    pairs = scipy.spatial.KDTree(centres).query_pairs(radius_mm, output_type="ndarray")
    one = np.arange(count)
    rows = np.concatenate([one, pairs[:, 0], pairs[:, 1]])
    columns = np.concatenate([one, pairs[:, 1], pairs[:, 0]])
    near = scipy.sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    left = sums.copy()
    places: list[NDArray[np.intp]] = []
    while len(places) < limit and left.any():
        best = int(np.argmax(near @ left))
        cells = near.indices[near.indptr[best] : near.indptr[best + 1]]
        cells = cells[left[cells] > 0]
        places.append(cells)
        left[cells] = 0
    return places


def _make_place(
    weights: NDArray[np.floating], cells: NDArray[np.intp], sides: NDArray[np.intp]
) -> Place:
    """Return the voxels of some cells where the map is above 0."""
    first, last = cells.min(axis=0), cells.max(axis=0) + 1
    inside = np.zeros(last - first, np.bool_)
    inside[tuple((cells - first).T)] = True
    for axis, side in enumerate(sides):
        inside = inside.repeat(side, axis=axis)
    low = first * sides
    box = tuple(slice(start, start + side) for start, side in zip(low, inside.shape, strict=True))
    part = weights[box]
    inside = inside[tuple(slice(side) for side in part.shape)] & (part > 0)
    indices = np.argwhere(inside)
    return Place(indices + low, float(part[inside].sum(dtype=np.float64)))
