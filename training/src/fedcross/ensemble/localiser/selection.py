"""Select the patches of a grid that carry most of the blending weight in a part of the volume.

Patches overlap, and near its edge a patch has little weight compared with its neighbours. Patches with
little weight in the part of interest need not be computed. The positions of the other patches do not
change, so their predictions equal those in the full grid bit for bit.

Weights are bounded for each cell (see `fedcross.ensemble.localiser.cells`). The upper bound of a patch's
weight in a cell is the product of the largest values of the axes' Gaussian profiles in the cell. The
lower bound is the product of the smallest values; it is 0 if the cell has a voxel outside the patch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from fedcross.ensemble.localiser.cells import Cells
from fedcross.patches.placement import SMALLEST_WEIGHT, Start, gaussian_profile

KEPT_WEIGHT = 0.5
"""Smallest share of the total weight that every voxel of the part keeps. It is enough to keep the
patches near whose centre the voxel lies. A larger share would hardly change the results, but would
need most patches of the grid."""


def select_patches(starts: Sequence[Start], patch: Sequence[int], part: Cells) -> list[Start]:
    """Return patches with which every voxel of a part keeps `KEPT_WEIGHT` of its total weight.

    Patches are removed one by one, as long as the remaining patches are enough. The order is by the
    largest share that a patch has, in any cell, of the weight that may be removed there; the smallest
    share is first.

    Parameters
    ----------
    starts
        First voxel (z, y, x) of each patch, as `fedcross.patches.placement.plan_patches` returns them.
    patch
        Shape of a patch, (d, h, w).
    part
        Part of the volume; if it is empty, no patch is needed.

    Returns
    -------
    list of (int, int, int)
        Some of `starts`, in the same order.
    """
    footprints = _footprints(starts, patch, part)
    total = np.zeros(part.mask.shape)
    for footprint in footprints:
        total[footprint.cells] += footprint.smallest()
    # Weight that may still be removed from each cell; unlimited outside the part.
    spare = np.where(part.mask, (1 - KEPT_WEIGHT) * total, np.inf)
    with np.errstate(divide="ignore"):
        shares = [float((one.largest() / spare[one.cells]).max()) for one in footprints]
    kept = [True] * len(starts)
    for index in np.argsort(shares, kind="stable"):
        cells, weight = footprints[index].cells, footprints[index].largest()
        if (weight <= spare[cells]).all():
            spare[cells] -= weight
            kept[index] = False
    return [start for start, is_kept in zip(starts, kept, strict=True) if is_kept]


@dataclass(frozen=True)
class _Profile:
    """Cells of a patch along one axis; largest and smallest value of the Gaussian profile in each."""

    cells: slice
    largest: NDArray[np.float64]
    smallest: NDArray[np.float64]

    @classmethod
    def of(cls, start: int, values: NDArray[np.float64], side: int, cell: int) -> "_Profile":
        """Return the bounds of a profile `values` that starts at voxel `start` of an axis.

        The axis has `side` voxels in cells of `cell` voxels.
        """
        low, high = max(start, 0), min(start + len(values), side)
        first, last = low // cell, -(-high // cell)
        begin = first * cell
        line = np.zeros((last - first) * cell)
        line[low - begin : high - begin] = values[low - start : high - start]
        largest = line.reshape(-1, cell).max(axis=1)
        # Voxels of the last cell beyond the end of the volume do not count.
        line[side - begin :] = np.inf
        return cls(slice(first, last), largest, line.reshape(-1, cell).min(axis=1))


@dataclass(frozen=True)
class _Footprint:
    """The cells that a patch overlaps, and bounds of its weight in each."""

    axes: Sequence[_Profile]

    @property
    def cells(self) -> tuple[slice, ...]:
        return tuple(profile.cells for profile in self.axes)

    def largest(self) -> NDArray[np.float64]:
        return _weight([profile.largest for profile in self.axes])

    def smallest(self) -> NDArray[np.float64]:
        return _weight([profile.smallest for profile in self.axes])


def _footprints(starts: Sequence[Start], patch: Sequence[int], part: Cells) -> list[_Footprint]:
    axes = []  # for each axis: the profiles by their first voxel
    for axis, side in enumerate(patch):
        values = gaussian_profile(side)
        lows = {start[axis] for start in starts}
        axes.append(
            {low: _Profile.of(low, values, part.shape[axis], part.side[axis]) for low in lows}
        )
    return [
        _Footprint([profiles[low] for profiles, low in zip(axes, start, strict=True)])
        for start in starts
    ]


def _weight(profiles: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the product of the axes' profiles; if it is not 0, at least `SMALLEST_WEIGHT`."""
    product = reduce(np.multiply.outer, profiles)
    return np.where(product > 0, np.maximum(product, SMALLEST_WEIGHT), 0)
