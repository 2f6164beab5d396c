"""Overlapping patches over a volume, blended with Gaussian weights.

The same positions and weights as MONAI's sliding window inferer with ``mode="gaussian"``, so that
results can be compared number by number. Shapes here are (D, H, W) = (z, y, x).
"""

import math
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import product
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

SIGMA_PER_SIDE = 0.125
SMALLEST_WEIGHT = 1e-3
"""Far from the centre weights stop falling, so that a patch's corners never count as nothing."""

Start = tuple[int, int, int]
Box = tuple[slice, slice, slice]
Progress = Callable[[int, int], None]


class PatchPredictor(Protocol):
    """One live member on one execution back-end: a patch to probabilities."""

    def __call__(self, patch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map a patch of z-scores (d, h, w) to class probabilities (C, d, h, w), background first.

        Float32 on the host; the result may be overwritten by the next call.
        """


def plan_patches(shape: Sequence[int], patch: Sequence[int], overlap: float) -> list[Start]:
    """Return where patches start so that they cover the volume.

    Parameters
    ----------
    shape
        Of the volume, (D, H, W), at least one patch along every axis.
    patch
        Shape of a patch.
    overlap
        Share of a patch, 0 <= overlap < 1, by which neighbours overlap at least. The last patch of
        an axis ends with the volume and may overlap more.

    Returns
    -------
    list of (int, int, int)
        Lowest corners in array order.
    """
    if any(side < part for side, part in zip(shape, patch, strict=True)):
        raise ValueError(f"volume {tuple(shape)} is smaller than a patch {tuple(patch)}")
    z, y, x = (
        _starts(side, part, max(1, int(part * (1 - overlap))))
        for side, part in zip(shape, patch, strict=True)
    )
    return list(product(z, y, x))


def gaussian_weight(patch: Sequence[int]) -> NDArray[np.float32]:
    """Return how much each voxel of a patch counts: a Gaussian around its centre.

    Per axis ``exp(-(i - centre)^2 / (2 sigma^2))`` with sigma an eighth of the side; the product of
    the axes, but at least `SMALLEST_WEIGHT`.
    """
    bells = []
    for side in patch:
        distance = np.arange(side, dtype=np.float64) - (side - 1) / 2
        bells.append(np.exp(-0.5 * np.square(distance / (SIGMA_PER_SIDE * side))))
    weight = reduce(np.multiply.outer, bells)
    return np.maximum(weight, SMALLEST_WEIGHT).astype(np.float32)


def blend_patches(
    predict: PatchPredictor,
    volume: NDArray[np.float32],
    *,
    patch: Sequence[int],
    overlap: float,
    classes: int,
    needed: Box | None = None,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Return the weighted mean of a member's probabilities over all patches of a volume.

    Parameters
    ----------
    predict
        The member.
    volume
        float32 (D, H, W). Where it is smaller than a patch, 0 is put around it.
    patch
        Shape of a patch, (d, h, w).
    overlap
        As in `plan_patches`.
    classes
        C, background included.
    needed
        Slices (z, y, x) of the part of the volume that is asked for; None is all of it. The patches
        that touch it, and no others, are computed, at the same places: in it the result is the same,
        bit for bit. Where no patch was computed, everything is background.
    progress
        Called with (patches done, patches in all) after each patch.

    Returns
    -------
    NDArray
        float32 (C, D, H, W).
    """
    before, padded = _pad(volume, patch)
    starts = _touching(plan_patches(padded.shape, patch, overlap), patch, before, needed)
    weight = gaussian_weight(patch)
    total = np.zeros((classes, *padded.shape), dtype=np.float32)
    counted = np.zeros(padded.shape, dtype=np.float32)
    for done, start in enumerate(starts, 1):
        box = tuple(slice(low, low + side) for low, side in zip(start, patch, strict=True))
        total[:, *box] += weight * predict(np.ascontiguousarray(padded[box]))
        counted[box] += weight
        if progress is not None:
            progress(done, len(starts))
    total[0][counted == 0] = 1
    counted[counted == 0] = 1
    total /= counted
    inner = tuple(slice(low, low + side) for low, side in zip(before, volume.shape, strict=True))
    return np.ascontiguousarray(total[:, *inner])


def count_patches(
    shape: Sequence[int], patch: Sequence[int], overlap: float, needed: Box | None = None
) -> int:
    """Return how many patches `blend_patches` takes for a volume of `shape`, padding included."""
    padded = [max(side, part) for side, part in zip(shape, patch, strict=True)]
    before = [(large - small) // 2 for large, small in zip(padded, shape, strict=True)]
    return len(_touching(plan_patches(padded, patch, overlap), patch, before, needed))


def _touching(
    starts: list[Start], patch: Sequence[int], before: Sequence[int], needed: Box | None
) -> list[Start]:
    """Keep the patches of a padded volume that touch a part of the volume inside."""
    if needed is None:
        return starts
    return [
        start
        for start in starts
        if all(
            low < part.stop + pad and low + side > part.start + pad
            for low, side, pad, part in zip(start, patch, before, needed, strict=True)
        )
    ]


def _starts(side: int, part: int, interval: int) -> list[int]:
    steps = math.ceil((side - part) / interval)
    return [min(step * interval, side - part) for step in range(steps + 1)]


def _pad(
    volume: NDArray[np.float32], patch: Sequence[int]
) -> tuple[list[int], NDArray[np.float32]]:
    """Put zeros around a volume smaller than a patch; also return how many lie before it."""
    lacking = [max(0, part - side) for side, part in zip(volume.shape, patch, strict=True)]
    before = [lack // 2 for lack in lacking]
    after = [lack - low for lack, low in zip(lacking, before, strict=True)]
    return before, np.pad(volume, list(zip(before, after, strict=True)))
