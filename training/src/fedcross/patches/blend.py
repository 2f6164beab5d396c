"""Blend a member's probabilities of overlapping patches, slab by slab.

Axes are (D, H, W) = (z, y, x).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedcross.patches.placement import Start
from fedcross.volumes.slab import SLAB_VOXELS, Slab

_zeros = partial(np.zeros, dtype=np.float32)
_to_float32: partial[NDArray[np.float32]] = partial(np.asarray, dtype=np.float32)


class Blend:
    """Weighted mean of patches. Only the sums of d slices, the depth of a patch, are in memory.

    Patches must be added in the order of their first slices. `finish` yields the slices that no later
    patch touches and moves the window of d slices along z.

    Parameters
    ----------
    predict
        Maps a patch (channels, d, h, w) to class probabilities (C, d, h, w).
    classes
        C, background included.
    shape
        Shape (D, H, W) of the padded volume; every side is at least that of a patch.
    weight
        Weight of each voxel of a patch, (d, h, w).
    zeros
        Returns a float32 array of zeros of a given shape on the device of the sums; the default is a
        NumPy array.
    to_host
        Converts such an array to a NumPy array, which may share its memory.
    """

    def __init__(
        self,
        predict: Callable[[NDArray[np.float32]], Any],
        classes: int,
        shape: Sequence[int],
        weight: Any,
        zeros: Callable[[tuple[int, ...]], Any] = _zeros,
        to_host: Callable[[Any], NDArray[np.float32]] = _to_float32,
    ) -> None:
        self._predict, self._weight, self._to_host = predict, weight, to_host
        self._low = 0
        self._depth = weight.shape[0]
        self._total = zeros((classes, self._depth, *shape[1:]))
        self._counted = zeros((1, self._depth, *shape[1:]))

    def add(self, start: Start, voxels: NDArray[np.float32]) -> None:
        """Add the prediction for a patch.

        Parameters
        ----------
        start
            First voxel (z, y, x) of the patch in the padded volume. z must be the first slice of the
            window: call ``finish(z)`` before.
        voxels
            Normalised intensities, float32 (channels, d, h, w).
        """
        box = self._box(start)
        self._total[box] += self._weight * self._predict(voxels)
        self._counted[box] += self._weight

    def add_background(self, start: Start) -> None:
        """Add a patch that is background with probability 1; parameters as in `add`."""
        box = self._box(start)
        self._total[:1][box] += self._weight
        self._counted[box] += self._weight

    def finish(self, stop: int) -> Iterator[Slab]:
        """Yield the blended slices before `stop` and move the window to `stop`.

        Voxels without any patch are background with probability 1. The yielded arrays are valid until
        the next one is requested.
        """
        while self._low < stop:
            count = min(stop - self._low, self._depth)
            total, counted = self._total[:, :count], self._counted[:, :count]
            uncovered = counted == 0
            total[:1][uncovered] = 1
            counted[uncovered] = 1
            total /= counted
            step = max(1, SLAB_VOXELS // (total.shape[2] * total.shape[3]))
            for low in range(0, count, step):
                part = slice(low, min(low + step, count))
                slices = slice(self._low + part.start, self._low + part.stop)
                yield slices, self._to_host(total[:, part])
            for sums in (self._total, self._counted):
                self.shift(sums, count)
            self._low += count

    def shift(self, sums: Any, count: int) -> None:
        """Drop the first `count` slices (axis 1) in place and append as many slices of zeros."""
        kept = self._depth - count
        sums[:, :kept] = sums[:, count:]
        sums[:, kept:] = 0

    def _box(self, start: Start) -> tuple[slice, slice, slice, slice]:
        z, y, x = start
        depth, height, width = self._weight.shape
        z -= self._low
        return slice(None), slice(z, z + depth), slice(y, y + height), slice(x, x + width)
