"""Where the patches of a volume lie and how much each of their voxels counts."""

import itertools
from functools import reduce

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]

SIGMA = 0.125  # of the Gaussian weight, as a fraction of the patch's side
FLOOR = 1e-3  # of the largest weight: corners seen by one patch only must not vanish


def plan_patches(shape: Shape, patch: Shape, overlap: float) -> list[Shape]:
    """Return the start indices of patches that cover a volume.

    Neighbours overlap by at least `overlap`; the last patch of each axis ends with the volume.

    Parameters
    ----------
    shape, patch
        (D, H, W); no side of the patch may exceed the volume's.
    overlap
        Fraction of a patch's side, 0 to below 1.

    Returns
    -------
    list of tuple
        Starts (z, y, x), x running fastest.
    """
    if any(side > whole for side, whole in zip(patch, shape, strict=True)):
        raise ValueError(f"patch {patch} exceeds the volume {shape}; pad it first.")
    axes = [
        _starts(whole, side, max(1, int(side * (1 - overlap))))
        for whole, side in zip(shape, patch, strict=True)
    ]
    return list(itertools.product(*axes))


def gaussian_weight(patch: Shape) -> NDArray[np.float32]:
    """Return how much each voxel of a patch counts: most in the middle, where it has most context."""
    profiles = []
    for side in patch:
        offset = np.arange(side) - (side - 1) / 2
        profiles.append(np.exp(-0.5 * (offset / (SIGMA * side)) ** 2))
    weight = reduce(np.multiply.outer, profiles)
    return np.maximum(weight / weight.max(), FLOOR).astype(np.float32)


def padding(shape: Shape, patch: Shape) -> list[tuple[int, int]]:
    """Return how much to add before and after each axis so that a patch fits."""
    missing = [max(side - whole, 0) for side, whole in zip(patch, shape, strict=True)]
    return [(total // 2, total - total // 2) for total in missing]


def _starts(whole: int, side: int, step: int) -> list[int]:
    regular = list(range(0, whole - side, step))
    return [*regular, whole - side]
