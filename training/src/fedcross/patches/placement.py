"""Where patches lie in a volume, and how much each of their voxels counts.

The same positions and weights as MONAI's sliding window inferer with ``mode="gaussian"``, so that
results can be compared number by number. Shapes here are (D, H, W) = (z, y, x).
"""

import math
from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import product

import numpy as np
from numpy.typing import NDArray

SIGMA_PER_SIDE = 0.125
SMALLEST_WEIGHT = 1e-3
"""Far from the centre weights stop falling, so that a patch's corners never count as nothing."""

Start = tuple[int, int, int]
Box = tuple[slice, slice, slice]


def plan_patches(shape: Sequence[int], patch: Sequence[int], overlap: float) -> list[Start]:
    """Return where patches start so that they cover the volume.

    Parameters
    ----------
    shape
        Of the volume, (D, H, W).
    patch
        Shape of a patch.
    overlap
        Share of a patch, 0 <= overlap < 1, by which neighbours overlap at least. The last patch of
        an axis ends with the volume and may overlap more.

    Returns
    -------
    list of (int, int, int)
        Lowest corners in array order. Along an axis on which the volume is smaller than a patch there
        is one, which starts before the volume: half of what the patch has more, rounded down.
    """
    z, y, x = (
        _starts(side, part, max(1, int(part * (1 - overlap))))
        for side, part in zip(shape, patch, strict=True)
    )
    return list(product(z, y, x))


def plan_sparse_patches(
    shape: Sequence[int], patch: Sequence[int], widest_gap: Sequence[float]
) -> list[Start]:
    """Return where as few patches as possible start that leave no gap wider than allowed.

    Along every axis the gaps before the first patch, between two, and after the last are equal, but
    for rounding to whole voxels. Patches overlap only where even one fewer would leave too wide a gap.

    Parameters
    ----------
    shape, patch
        As in `plan_patches`.
    widest_gap
        In voxels, along z, y, x; 0 or more.

    Returns
    -------
    list of (int, int, int)
        As `plan_patches` returns them.
    """
    z, y, x = map(_sparse_starts, shape, patch, widest_gap)
    return list(product(z, y, x))


def select_touching(starts: Iterable[Start], patch: Sequence[int], part: Box) -> list[Start]:
    """Return the patches that have a voxel in a part of the volume, slices (z, y, x)."""
    return [
        start
        for start in starts
        if all(
            low < inside.stop and low + side > inside.start
            for low, side, inside in zip(start, patch, part, strict=True)
        )
    ]


def gaussian_profile(side: int) -> NDArray[np.float64]:
    """Return ``exp(-(i - centre)^2 / (2 sigma^2))`` for i < `side`, with sigma an eighth of it."""
    distance = np.arange(side, dtype=np.float64) - (side - 1) / 2
    return np.exp(-0.5 * np.square(distance / (SIGMA_PER_SIDE * side)))


def gaussian_weight(patch: Sequence[int]) -> NDArray[np.float32]:
    """Return how much each voxel of a patch counts: the product of a `gaussian_profile` for each axis.

    But at least `SMALLEST_WEIGHT`.
    """
    weight = reduce(np.multiply.outer, map(gaussian_profile, patch))
    return np.maximum(weight, SMALLEST_WEIGHT).astype(np.float32)


def padding_before(side: int, part: int) -> int:
    """Return how many voxels are put before a volume along an axis where a patch is longer."""
    return max(0, (part - side) // 2)


def _starts(side: int, part: int, interval: int) -> list[int]:
    if side < part:
        return [-padding_before(side, part)]
    steps = math.ceil((side - part) / interval)
    return [min(step * interval, side - part) for step in range(steps + 1)]


def _sparse_starts(side: int, part: int, widest_gap: float) -> list[int]:
    if side <= part:
        return _starts(side, part, part)
    # count + 1 gaps share what count patches leave: side - count * part <= (count + 1) * widest_gap
    count = max(1, math.ceil((side - widest_gap) / (part + widest_gap)))
    gap = (side - count * part) / (count + 1)
    if gap >= 0:
        return [round(gap + index * (part + gap)) for index in range(count)]
    return [round(index * (side - part) / (count - 1)) for index in range(count)]
