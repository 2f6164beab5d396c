"""What a member says of patches of a volume, blended with Gaussian weights.

Where patches lie and what they weigh: `fedcross.infer.placement`. Shapes here are (D, H, W) = (z, y, x).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fedcross.infer.placement import Box, Start, gaussian_weight, plan_patches, put_before, touching

Progress = Callable[[int, int], None]
Slab = tuple[slice, NDArray[np.float32]]
"""Neighbouring slices z of a volume, and float32 (C, dz, H, W): the values of C maps in them."""

SLAB_VOXELS = 2**19
"""Of a slab at most, unless a slice has more: whoever takes slabs makes several arrays as large."""

_zeros = partial(np.zeros, dtype=np.float32)
_as_it_is: partial[NDArray[np.float32]] = partial(np.asarray, dtype=np.float32)


class PatchPredictor(Protocol):
    """One live member on one execution back-end: a patch to probabilities."""

    def __call__(self, patch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map a patch of z-scores (d, h, w) to class probabilities (C, d, h, w), background first.

        Float32 on the host; the result may be overwritten by the next call.
        """


@runtime_checkable
class BlendingPredictor(PatchPredictor, Protocol):
    """One that blends where it computes, on a GPU: only finished slices come to the host."""

    def blending(self, classes: int, shape: Sequence[int], weight: NDArray[np.float32]) -> "Blend":
        """Begin; the parameters are those of `Blend`."""


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
        As in `fedcross.infer.placement.plan_patches`.
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
        Of the patches, all or some of a `fedcross.infer.placement.plan_patches`, in its order.
        Patches that are left out change nothing where they would not have been; where there is none
        at all, everything is background.
    classes
        C, background included.
    progress
        Called with (patches done, patches in all) after each patch, air included.

    Yields
    ------
    slice, NDArray
        Slices z of the volume, in order and without gaps, `SLAB_VOXELS` in all or one; float32
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


class Blend:
    """Sums of weighted probabilities over as many slices as a patch is deep; it moves up along z.

    Parameters
    ----------
    predict
        The member.
    classes
        C, background included.
    shape
        Of the volume with what is put around it, (D, H, W), at least a patch.
    weight
        How much each voxel of a patch counts, (d, h, w).
    zeros
        Makes an array where the sums are to be kept; NumPy's on the host.
    on_host
        Turns such an array into NumPy's, which may be the same memory.
    """

    def __init__(
        self,
        predict: Callable[[NDArray[np.float32]], Any],
        classes: int,
        shape: Sequence[int],
        weight: Any,
        zeros: Callable[[tuple[int, ...]], Any] = _zeros,
        on_host: Callable[[Any], NDArray[np.float32]] = _as_it_is,
    ) -> None:
        self._predict, self._weight, self._on_host = predict, weight, on_host
        self._low = 0
        self._depth = weight.shape[0]
        self._total = zeros((classes, self._depth, *shape[1:]))
        self._counted = zeros((1, self._depth, *shape[1:]))

    def add(self, start: Start, voxels: NDArray[np.float32]) -> None:
        """Take in what the member says of a patch (d, h, w) that starts in the slab."""
        box = self._box(start)
        self._total[box] += self._weight * self._predict(voxels)
        self._counted[box] += self._weight

    def add_background(self, start: Start) -> None:
        """Take in a patch of nothing but background."""
        box = self._box(start)
        self._total[:1][box] += self._weight
        self._counted[box] += self._weight

    def finish(self, stop: int) -> Iterator[Slab]:
        """Yield the blend of the slices before `stop` that are left, and move up to there."""
        while self._low < stop:
            count = min(stop - self._low, self._depth)
            total, counted = self._total[:, :count], self._counted[:, :count]
            nowhere = counted == 0
            total[:1][nowhere] = 1
            counted[nowhere] = 1
            total /= counted
            step = max(1, SLAB_VOXELS // (total.shape[2] * total.shape[3]))
            for low in range(0, count, step):
                part = slice(low, min(low + step, count))
                there = slice(self._low + part.start, self._low + part.stop)
                yield there, self._on_host(total[:, part])
            for sums in (self._total, self._counted):
                self.move_up(sums, count)
            self._low += count

    def move_up(self, sums: Any, count: int) -> None:
        """Let go of the first `count` slices (axis 1) in place; zeros come after the last."""
        kept = self._depth - count
        sums[:, :kept] = sums[:, count:]
        sums[:, kept:] = 0

    def _box(self, start: Start) -> tuple[slice, slice, slice, slice]:
        z, y, x = start
        depth, height, width = self._weight.shape
        z -= self._low
        return slice(None), slice(z, z + depth), slice(y, y + height), slice(x, x + width)
