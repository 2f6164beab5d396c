"""Which patches of a grid carry the weight in a part of the volume.

Patches overlap, and at its rim one weighs about nothing beside its neighbours: those that hardly count
in the part that matters need not be computed. The others stay where they are, so that each says there
what it says in the full grid, bit for bit.

Weights are bounded cell by cell (`fedcross.ensemble.localiser.cells`): in a cell a patch weighs at most
the product of its bells' largest values there, and at least that of their smallest ones; nothing
if the cell has a voxel outside the patch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from fedcross.ensemble.localiser.cells import Cells
from fedcross.patches.placement import SMALLEST_WEIGHT, Start, bell

KEPT_WEIGHT = 0.5
"""Of what all patches weigh together, every voxel of the part keeps at least this share. So those have
their say in whose middle it lies; more would hardly say anything else, and take most of the grid."""


def carrying(starts: Sequence[Start], patch: Sequence[int], part: Cells) -> list[Start]:
    """Return the patches that are enough for every voxel of a part to keep `KEPT_WEIGHT`.

    One after another is left out, those first that count least where they count most, as long as the
    others are enough.

    Parameters
    ----------
    starts
        Of all patches, as `fedcross.patches.placement.plan_patches` returns them.
    patch
        Shape of a patch, (d, h, w).
    part
        Of the volume; if it is empty no patch is needed.

    Returns
    -------
    list of (int, int, int)
        Some of `starts`, in the same order.
    """
    footprints = _footprints(starts, patch, part)
    total = np.zeros(part.mask.shape)
    for each in footprints:
        total[each.cells] += each.smallest()
    # What may still be left out, cell by cell: outside the part anything.
    spare = np.where(part.mask, (1 - KEPT_WEIGHT) * total, np.inf)
    with np.errstate(divide="ignore"):
        shares = [float((each.largest() / spare[each.cells]).max()) for each in footprints]
    kept = [True] * len(starts)
    for index in np.argsort(shares, kind="stable"):
        there, weight = footprints[index].cells, footprints[index].largest()
        if (weight <= spare[there]).all():
            spare[there] -= weight
            kept[index] = False
    return [start for start, is_kept in zip(starts, kept, strict=True) if is_kept]


@dataclass(frozen=True)
class _Reach:
    """The cells that a patch has along one axis, and its bell's largest and smallest value in each."""

    cells: slice
    largest: NDArray[np.float64]
    smallest: NDArray[np.float64]

    @classmethod
    def of(cls, start: int, values: NDArray[np.float64], side: int, cell: int) -> "_Reach":
        """Put a bell at `start` into a volume of `side` voxels in cells of `cell` voxels."""
        low, high = max(start, 0), min(start + len(values), side)
        first, last = low // cell, -(-high // cell)
        begin = first * cell
        line = np.zeros((last - first) * cell)
        line[low - begin : high - begin] = values[low - start : high - start]
        largest = line.reshape(-1, cell).max(axis=1)
        # Of a cell that the volume cuts off only what is in it counts.
        line[side - begin :] = np.inf
        return cls(slice(first, last), largest, line.reshape(-1, cell).min(axis=1))


@dataclass(frozen=True)
class _Footprint:
    """The cells that a patch has, and bounds of its weight in each."""

    along: Sequence[_Reach]

    @property
    def cells(self) -> tuple[slice, ...]:
        return tuple(reach.cells for reach in self.along)

    def largest(self) -> NDArray[np.float64]:
        return _weight([reach.largest for reach in self.along])

    def smallest(self) -> NDArray[np.float64]:
        return _weight([reach.smallest for reach in self.along])


def _footprints(starts: Sequence[Start], patch: Sequence[int], part: Cells) -> list[_Footprint]:
    along = []
    for axis, side in enumerate(patch):
        values = bell(side)
        lows = {start[axis] for start in starts}
        along.append(
            {low: _Reach.of(low, values, part.shape[axis], part.side[axis]) for low in lows}
        )
    return [
        _Footprint([reaches[low] for reaches, low in zip(along, start, strict=True)])
        for start in starts
    ]


def _weight(bells: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the product of the axes, but at least `SMALLEST_WEIGHT` where it is not 0."""
    product = reduce(np.multiply.outer, bells)
    return np.where(product > 0, np.maximum(product, SMALLEST_WEIGHT), 0)
