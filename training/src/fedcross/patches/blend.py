"""Blend the members' probabilities of overlapping patches, slab by slab.

Shapes here are (D, H, W) = (z, y, x).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedcross.patches.placement import Start
from fedcross.volumes.slab import SLAB_VOXELS, Slab

_zeros = partial(np.zeros, dtype=np.float32)
_as_it_is: partial[NDArray[np.float32]] = partial(np.asarray, dtype=np.float32)


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
                self.shift(sums, count)
            self._low += count

    def shift(self, sums: Any, count: int) -> None:
        """Let go of the first `count` slices (axis 1) in place; zeros come after the last."""
        kept = self._depth - count
        sums[:, :kept] = sums[:, count:]
        sums[:, kept:] = 0

    def _box(self, start: Start) -> tuple[slice, slice, slice, slice]:
        z, y, x = start
        depth, height, width = self._weight.shape
        z -= self._low
        return slice(None), slice(z, z + depth), slice(y, y + height), slice(x, x + width)
