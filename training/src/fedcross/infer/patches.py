"""Overlapping patches over a volume, blended with Gaussian weights.

The same positions and weights as MONAI's sliding window inferer with ``mode="gaussian"``, so that
results can be compared number by number. Shapes here are (D, H, W) = (z, y, x).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial, reduce
from itertools import product
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

SIGMA_PER_SIDE = 0.125
SMALLEST_WEIGHT = 1e-3
"""Far from the centre weights stop falling, so that a patch's corners never count as nothing."""

Start = tuple[int, int, int]
Box = tuple[slice, slice, slice]
Progress = Callable[[int, int], None]
Slab = tuple[slice, NDArray[np.float32]]
"""Neighbouring slices z of a volume, and float32 (C, dz, H, W): the values of C maps in them."""

SLAB_VOXELS = 2**19
"""Of a slab at most, unless a slice has more: whoever takes slabs makes several arrays as large."""

_zeros = partial(np.zeros, dtype=np.float32)


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
    """Return what `stream_patches` yields as one array, float32 (C, D, H, W)."""
    blended = np.empty((classes, *volume.shape), dtype=np.float32)
    for part, probabilities in stream_patches(
        predict,
        volume,
        patch=patch,
        overlap=overlap,
        classes=classes,
        needed=needed,
        progress=progress,
    ):
        blended[:, part] = probabilities
    return blended


def stream_patches(
    predict: PatchPredictor,
    volume: NDArray[np.float32],
    *,
    patch: Sequence[int],
    overlap: float,
    classes: int,
    needed: Box | None = None,
    progress: Progress | None = None,
) -> Iterator[Slab]:
    """Yield the weighted mean of a member's probabilities over all patches, slab after slab.

    Patches come z outermost, so that the slices below the next row of patches are finished: only a
    slab as deep as a patch is in memory.

    Parameters
    ----------
    predict
        The member. It is not asked about air, a patch whose voxels are all equal (padding, what was
        erased, what lies outside the scanner's field): that is background with probability 1.
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
        Called with (patches done, patches in all) after each patch, air included.

    Yields
    ------
    slice, NDArray
        Slices z of the volume, in order and without gaps, `SLAB_VOXELS` in all or one; float32
        (C, dz, H, W) there, valid until the next is asked for. Where the cuts are depends on shapes
        only.
    """
    before, padded = _pad(volume, patch)
    starts = plan_patches(padded.shape, patch, overlap)
    wanted = _touching(starts, patch, before, needed)
    weight = gaussian_weight(patch)
    if isinstance(predict, BlendingPredictor):
        slab = predict.blending(classes, padded.shape, weight)
    else:
        slab = Blend(predict, classes, padded.shape, weight)
    depth, *sides = (slice(low, low + side) for low, side in zip(before, volume.shape, strict=True))

    def trimmed(finished: Iterator[Slab]) -> Iterator[Slab]:  # without what was put around
        for part, probabilities in finished:
            low, high = max(part.start, depth.start), min(part.stop, depth.stop)
            if low < high:
                kept = slice(low - part.start, high - part.start)
                inner = slice(low - depth.start, high - depth.start)
                yield inner, probabilities[:, kept, *sides]

    done = 0
    for start in starts:
        yield from trimmed(slab.finish(start[0]))
        if done == len(wanted) or start != wanted[done]:
            continue
        done += 1
        box = tuple(slice(low, low + side) for low, side in zip(start, patch, strict=True))
        voxels = np.ascontiguousarray(padded[box])
        if (voxels == voxels[0, 0, 0]).all():
            slab.add_background(start)
        else:
            slab.add(start, voxels)
        if progress is not None:
            progress(done, len(wanted))
    yield from trimmed(slab.finish(padded.shape[0]))


class Blend:
    """Sums of weighted probabilities over as many slices as a patch is deep; it moves up along z.

    Parameters
    ----------
    predict
        The member.
    classes
        C, background included.
    shape
        Of the volume, (D, H, W), at least a patch.
    weight
        How much each voxel of a patch counts, (d, h, w).
    zeros
        Makes an array where the sums are to be kept; NumPy's on the host.
    """

    def __init__(
        self,
        predict: Callable[[NDArray[np.float32]], Any],
        classes: int,
        shape: Sequence[int],
        weight: Any,
        zeros: Callable[[tuple[int, ...]], Any] = _zeros,
    ) -> None:
        self._predict, self._weight = predict, weight
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
                yield there, self.on_host(total[:, part])
            for sums in (self._total, self._counted):
                self.move_up(sums, count)
            self._low += count

    def on_host(self, finished: Any) -> NDArray[np.float32]:
        """Return sums as the host's array, which may be the same memory."""
        values: NDArray[np.float32] = finished
        return values

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
    if not any(lacking):
        return before, volume
    after = [lack - low for lack, low in zip(lacking, before, strict=True)]
    return before, np.pad(volume, list(zip(before, after, strict=True)))
