"""Linear interpolation between grids with the same axes: one axis after another.

Beyond the outermost voxel centres the edge value holds, so that nothing is invented at the border.
Any part of the result can be had from the part of the values that it looks at, with the same bits.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

CHUNK_VOXELS = 2**22
"""So many are computed at a time: temporaries stay below some ten megabytes."""


def resample_linear(
    array: NDArray[np.float32],
    shape: Sequence[int],
    scale: Sequence[float],
) -> NDArray[np.float32]:
    """Resample `array` onto a grid with the same axes and the same centre.

    Parameters
    ----------
    array
        Values, any number of axes.
    shape
        Shape of the result.
    scale
        Per axis, the result's spacing divided by the array's. An axis of the same length with
        scale 1 is left as it is, bit for bit.

    Returns
    -------
    NDArray
        float32 of shape `shape`; every value lies between those of the two nearest voxels. `array`
        itself where nothing is to be done.
    """
    sampling = Sampling(array.shape, shape, scale)
    if sampling.is_identity:
        return array
    result = np.empty(shape, dtype=np.float32)
    for part in chunks(0, shape[0], shape):
        result[part] = sampling(array[sampling.source_slices(part)], part)
    return result


def chunks(low: int, high: int, shape: Sequence[int]) -> Iterator[slice]:
    """Cut the slices `low` to `high` of an array of `shape` into parts of about `CHUNK_VOXELS`."""
    step = max(1, CHUNK_VOXELS // max(1, math.prod(shape[1:])))
    for first in range(low, high, step):
        yield slice(first, min(first + step, high))


class Sampling:
    """How the values on one grid come from those on another; parameters as in `resample_linear`.

    Parameters
    ----------
    old, new
        Shapes.
    scale
        Per axis, the new spacing divided by the old one.
    """

    def __init__(self, old: Sequence[int], new: Sequence[int], scale: Sequence[float]) -> None:
        self._axes = [_Axis.between(*axis) for axis in zip(old, new, scale, strict=True)]
        # Axes that shrink go first: less work for the others.
        self._order = sorted(range(len(new)), key=lambda axis: new[axis] / old[axis])

    @property
    def is_identity(self) -> bool:
        """Whether all values stay as they are."""
        return not any(self._axes)

    def source_slices(self, part: slice) -> slice:
        """Return the slices along the first axis that a part of the result is made of."""
        axis = self._axes[0]
        if axis is None:
            return part
        return slice(int(axis.below[part.start]), int(axis.above[part.stop - 1]) + 1)

    def __call__(self, array: NDArray[np.float32], part: slice) -> NDArray[np.float32]:
        """Return some slices of the result along the first axis.

        Parameters
        ----------
        array
            The values in the slices that `reach` returns.
        part
            Which slices, at least one.
        """
        low = self.source_slices(part).start
        for index in self._order:
            axis = self._axes[index]
            if axis is not None:
                array = (axis.cut(part, low) if index == 0 else axis).sample(array, index)
        return array


@dataclass(frozen=True)
class _Axis:
    """For every sample its two neighbours, and the weight of the one above; shapes (count,)."""

    below: NDArray[np.intp]
    above: NDArray[np.intp]
    weight: NDArray[np.float32]

    @classmethod
    def between(cls, old: int, new: int, scale: float) -> Self | None:
        """Place `new` samples, `scale` voxels apart, around the same centre; None changes nothing."""
        if old == new and scale == 1:
            return None
        last = old - 1
        positions = (np.arange(new) - (new - 1) / 2) * scale + last / 2  # in old voxels
        positions = positions.clip(0, last)
        below = np.floor(positions).astype(np.intp)
        above = np.minimum(below + 1, last)
        return cls(below, above, (positions - below).astype(np.float32))

    def cut(self, part: slice, low: int) -> "_Axis":
        """Keep the samples `part`, of an array that begins at voxel `low`."""
        return _Axis(self.below[part] - low, self.above[part] - low, self.weight[part])

    def sample(self, array: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
        broadcast = [1] * array.ndim
        broadcast[axis] = len(self.weight)
        values = array.take(self.below, axis)
        step = array.take(self.above, axis)
        step -= values
        step *= self.weight.reshape(broadcast)
        values += step
        return np.asarray(values)
