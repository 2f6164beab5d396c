"""Linear interpolation between grids with the same axes, one axis after another.

Beyond the outermost voxel centres the value of the edge voxel is used, without extrapolation. A part of
the result can be computed from the slices it depends on alone; it equals the whole bit for bit.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

CHUNK_VOXELS = 2**22
"""Number of voxels computed at a time. It limits temporary arrays to some ten megabytes."""


def resample_linear(
    array: NDArray[np.float32],
    shape: Sequence[int],
    scale: Sequence[float],
) -> NDArray[np.float32]:
    """Resample `array` onto a grid with the same axes and the same centre.

    Parameters
    ----------
    array
        float32 values with any number of axes.
    shape
        Shape of the result, with the same number of axes.
    scale
        For each axis, the spacing of the result divided by that of `array`. An axis with scale 1 and
        unchanged length is not interpolated.

    Returns
    -------
    NDArray
        float32 of shape `shape`. Along each axis every value lies between the values of its two nearest
        voxels. `array` itself if no axis is interpolated.
    """
    sampling = Sampling(array.shape, shape, scale)
    if sampling.is_identity:
        return array
    result = np.empty(shape, dtype=np.float32)
    for part in chunks(0, shape[0], shape):
        result[part] = sampling(array[sampling.source_slices(part)], part)
    return result


def chunks(low: int, high: int, shape: Sequence[int]) -> Iterator[slice]:
    """Yield the slices from `low` up to `high` of an array of `shape` in parts of `CHUNK_VOXELS`.

    A part has at least one slice, and otherwise at most `CHUNK_VOXELS` voxels.
    """
    step = max(1, CHUNK_VOXELS // max(1, math.prod(shape[1:])))
    for first in range(low, high, step):
        yield slice(first, min(first + step, high))


class Sampling:
    """Linear interpolation from one grid to another with the same axes and the same centre.

    Parameters
    ----------
    old, new
        Shapes of an array on the old and on the new grid.
    scale
        For each axis, the new spacing divided by the old one.
    """

    def __init__(self, old: Sequence[int], new: Sequence[int], scale: Sequence[float]) -> None:
        self._axes = [_Axis.between(*axis) for axis in zip(old, new, scale, strict=True)]
        # Axes that shrink are interpolated first, which leaves less work for the others.
        self._order = sorted(range(len(new)), key=lambda axis: new[axis] / old[axis])

    @property
    def is_identity(self) -> bool:
        """Whether no axis is interpolated."""
        return not any(self._axes)

    def source_slices(self, part: slice) -> slice:
        """Return the slices of the old array, along its first axis, that `part` depends on."""
        axis = self._axes[0]
        if axis is None:
            return part
        return slice(int(axis.below[part.start]), int(axis.above[part.stop - 1]) + 1)

    def __call__(self, array: NDArray[np.float32], part: slice) -> NDArray[np.float32]:
        """Return some slices of the result along its first axis.

        Parameters
        ----------
        array
            Values of the old array in the slices that `source_slices` returns for `part`.
        part
            Slices of the result, at least one.
        """
        low = self.source_slices(part).start
        for index in self._order:
            axis = self._axes[index]
            if axis is not None:
                array = (axis.cut(part, low) if index == 0 else axis).sample(array, index)
        return array


@dataclass(frozen=True)
class _Axis:
    """For every sample: the two neighbouring voxels and the weight of the upper one, each (count,)."""

    below: NDArray[np.intp]
    above: NDArray[np.intp]
    weight: NDArray[np.float32]

    @classmethod
    def between(cls, old: int, new: int, scale: float) -> Self | None:
        """Place `new` samples, `scale` voxels apart, around the centre of `old` voxels.

        None if the samples are the voxels.
        """
        if old == new and scale == 1:
            return None
        last = old - 1
        positions = (np.arange(new) - (new - 1) / 2) * scale + last / 2  # in old voxels
        positions = positions.clip(0, last)
        below = np.floor(positions).astype(np.intp)
        above = np.minimum(below + 1, last)
        return cls(below, above, (positions - below).astype(np.float32))

    def cut(self, part: slice, low: int) -> "_Axis":
        """Return the samples `part` with indices into an array that begins at voxel `low`."""
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
