"""Positions of patches in a volume and weights of their voxels.

Positions and weights equal those of MONAI's sliding window inferer with ``mode="gaussian"``, so that
results can be compared number by number. Axes are (D, H, W) = (z, y, x).
"""

import math
from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import product

import numpy as np
from numpy.typing import NDArray

SIGMA_PER_SIDE = 0.125
"""Standard deviation of the Gaussian weight, as a share of the patch's side."""
SMALLEST_WEIGHT = 1e-3
"""Lower bound of the weights, so that the corners of a patch still count."""

Start = tuple[int, int, int]
Box = tuple[slice, slice, slice]


def plan_patches(shape: Sequence[int], patch: Sequence[int], overlap: float) -> list[Start]:
    """Return the positions of patches that cover the volume.

    Parameters
    ----------
    shape
        Shape of the volume, (D, H, W).
    patch
        Shape of a patch, (d, h, w).
    overlap
        Share of a patch by which neighbours overlap at least, 0 <= overlap < 1. The last patch of an
        axis ends with the volume and may overlap more.

    Returns
    -------
    list of (int, int, int)
        First voxel (z, y, x) of each patch, in array order. If the volume is smaller than a patch along
        an axis, there is one patch along it, centred: it starts at minus half of the difference
        (rounded down).
    """
    z, y, x = (
        _starts(side, part, _interval(part, overlap))
        for side, part in zip(shape, patch, strict=True)
    )
    return list(product(z, y, x))


def count_patches(shape: Sequence[int], patch: Sequence[int], overlap: float) -> int:
    """Return the number of patches of `plan_patches`, without making the list."""
    return math.prod(
        1 if side <= part else math.ceil((side - part) / _interval(part, overlap)) + 1
        for side, part in zip(shape, patch, strict=True)
    )


def plan_sparse_patches(
    shape: Sequence[int], patch: Sequence[int], widest_gap: Sequence[float]
) -> list[Start]:
    """Return the positions of as few patches as possible that leave no gap wider than allowed.

    Along every axis the gaps before the first patch, between patches, and after the last patch are
    equal, except for rounding to whole voxels. Patches overlap only if one patch fewer would leave a
    gap that is too wide.

    Parameters
    ----------
    shape
        Shape of the volume, (D, H, W).
    patch
        Shape of a patch, (d, h, w).
    widest_gap
        Largest gap in voxels along (z, y, x); 0 or more.

    Returns
    -------
    list of (int, int, int)
        First voxel (z, y, x) of each patch, in array order; see `plan_patches`.
    """
    z, y, x = map(_sparse_starts, shape, patch, widest_gap)
    return list(product(z, y, x))


def select_touching(starts: Iterable[Start], patch: Sequence[int], part: Box) -> list[Start]:
    """Return those patches that have a voxel in a part of the volume.

    Parameters
    ----------
    starts
        First voxel (z, y, x) of each patch.
    patch
        Shape of a patch, (d, h, w).
    part
        Slices (z, y, x) of the volume.

    Returns
    -------
    list of (int, int, int)
        Some of `starts`, in the same order.
    """
    return [
        start
        for start in starts
        if all(
            low < inside.stop and low + side > inside.start
            for low, side, inside in zip(start, patch, part, strict=True)
        )
    ]


def gaussian_profile(side: int) -> NDArray[np.float64]:
    """Return ``exp(-(i - centre)^2 / (2 sigma^2))`` for i from 0 to side - 1, sigma = side / 8."""
    distance = np.arange(side, dtype=np.float64) - (side - 1) / 2
    return np.exp(-0.5 * np.square(distance / (SIGMA_PER_SIDE * side)))


def gaussian_weight(patch: Sequence[int]) -> NDArray[np.float32]:
    """Return the weight of each voxel of a patch, float32 (d, h, w).

    It is the product of the axes' `gaussian_profile`, but at least `SMALLEST_WEIGHT`.
    """
    weight = reduce(np.multiply.outer, map(gaussian_profile, patch))
    return np.maximum(weight, SMALLEST_WEIGHT).astype(np.float32)


def padding_before(side: int, part: int) -> int:
    """Return the number of voxels to pad before a volume of length `side` for a patch of `part`."""
    return max(0, (part - side) // 2)


def _interval(part: int, overlap: float) -> int:
    return max(1, int(part * (1 - overlap)))


def _starts(side: int, part: int, interval: int) -> list[int]:
    if side < part:
        return [-padding_before(side, part)]
    steps = math.ceil((side - part) / interval)
    return [min(step * interval, side - part) for step in range(steps + 1)]


def _sparse_starts(side: int, part: int, widest_gap: float) -> list[int]:
    if side <= part:
        return _starts(side, part, part)
    # `count` patches leave count + 1 gaps: side - count * part <= (count + 1) * widest_gap
    count = max(1, math.ceil((side - widest_gap) / (part + widest_gap)))
    gap = (side - count * part) / (count + 1)
    if gap >= 0:
        return [round(gap + index * (part + gap)) for index in range(count)]
    return [round(index * (side - part) / (count - 1)) for index in range(count)]
