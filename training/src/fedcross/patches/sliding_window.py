"""Probabilities of one member over a volume: patches, blended with Gaussian weights.

`fedcross.patches.placement` gives the positions and weights of the patches. Shapes here are
(D, H, W) = (z, y, x).
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from fedcross.patches.blend import Blend
from fedcross.patches.placement import (
    Box,
    Start,
    gaussian_weight,
    plan_patches,
    put_before,
    touching,
)
from fedcross.patches.predictor import BlendingPredictor, PatchPredictor
from fedcross.volumes.slab import Slab

Progress = Callable[[int, int], None]


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
    """Return the blend of a full grid of patches as one array, float32 (C, D, H, W).

    Parameters
    ----------
    predict, volume, patch, classes, progress
        As in `stream_patches`.
    overlap
        As in `fedcross.patches.placement.plan_patches`.
    needed
        Slices (z, y, x) of the part of the volume that is asked for; None is all of it. The patches
        that touch it, and no others, are computed: in it the result is the same, bit for bit.
    """
    starts = plan_patches(volume.shape, patch, overlap)
    if needed is not None:
        starts = touching(starts, patch, needed)
    blended = np.empty((classes, *volume.shape), dtype=np.float32)
    for part, probabilities in stream_patches(
        predict, volume, patch=patch, starts=starts, classes=classes, progress=progress
    ):
        blended[:, part] = probabilities
    return blended


def stream_patches(
    predict: PatchPredictor,
    volume: NDArray[np.float32],
    *,
    patch: Sequence[int],
    starts: Sequence[Start],
    classes: int,
    progress: Progress | None = None,
) -> Iterator[Slab]:
    """Yield the weighted mean of a member's probabilities over some patches, slab after slab.

    Patches come z outermost, so that the slices below the next row of patches are finished: only a
    slab as deep as a patch is in memory.

    Parameters
    ----------
    predict
        The member. It is not asked about air, see `cut_patches`: that is background with
        probability 1.
    volume
        float32 (D, H, W).
    patch
        Shape of a patch, (d, h, w).
    starts
        Of the patches, all or some of a `fedcross.patches.placement.plan_patches`, in its order.
        Patches that are left out change nothing where they would not have been; where there is none
        at all, everything is background.
    classes
        C, background included.
    progress
        Called with (patches done, patches in all) after each patch, air included.

    Yields
    ------
    slice, NDArray
        Slices z of the volume, in order and without gaps, `fedcross.volumes.slab.SLAB_VOXELS` in
        all or one; float32
        (C, dz, H, W) there, valid until the next is asked for. Where the cuts are depends on shapes
        and starts only.
    """
    before = list(map(put_before, volume.shape, patch))
    padded = [max(side, part) for side, part in zip(volume.shape, patch, strict=True)]
    weight = gaussian_weight(patch)
    if isinstance(predict, BlendingPredictor):
        slab = predict.blending(classes, padded, weight)
    else:
        slab = Blend(predict, classes, padded, weight)
    depth, *sides = (slice(low, low + side) for low, side in zip(before, volume.shape, strict=True))

    def trimmed(finished: Iterator[Slab]) -> Iterator[Slab]:  # without what was put around
        for part, probabilities in finished:
            low, high = max(part.start, depth.start), min(part.stop, depth.stop)
            if low < high:
                kept = slice(low - part.start, high - part.start)
                inner = slice(low - depth.start, high - depth.start)
                yield inner, probabilities[:, kept, *sides]

    for done, (start, voxels) in enumerate(cut_patches(volume, patch, starts), start=1):
        z, y, x = (low + lack for low, lack in zip(start, before, strict=True))
        yield from trimmed(slab.finish(z))
        if voxels is None:
            slab.add_background((z, y, x))
        else:
            slab.add((z, y, x), voxels)
        if progress is not None:
            progress(done, len(starts))
    yield from trimmed(slab.finish(padded[0]))


def cut_patches(
    volume: NDArray[np.float32], patch: Sequence[int], starts: Sequence[Start]
) -> Iterator[tuple[Start, NDArray[np.float32] | None]]:
    """Yield each patch's start and voxels, float32 (d, h, w), contiguous; of air None.

    Where a patch is larger than the volume, 0 is put around it. Air is a patch whose voxels are all
    equal: what was put around, what was erased, what lies outside the scanner's field.
    """
    for start in starts:
        inside = tuple(slice(max(n, 0), n + side) for n, side in zip(start, patch, strict=True))
        voxels = np.ascontiguousarray(volume[inside])
        if voxels.shape != tuple(patch):
            around = np.zeros(patch, dtype=np.float32)
            there = zip(start, voxels.shape, strict=True)
            around[tuple(slice(max(-n, 0), max(-n, 0) + side) for n, side in there)] = voxels
            voxels = around
        yield start, None if (voxels == voxels[0, 0, 0]).all() else voxels
