"""Linear interpolation between grids with the same axes: one axis after another.

Beyond the outermost voxel centres the edge value holds, so that nothing is invented at the border.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


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
        float32 of shape `shape`; every value lies between those of the two nearest voxels.
    """
    # Axes that shrink go first: less work for the others.
    for axis in sorted(range(array.ndim), key=lambda axis: shape[axis] / array.shape[axis]):
        if shape[axis] != array.shape[axis] or scale[axis] != 1:
            array = _along_axis(array, axis, shape[axis], scale[axis])
    return array


def _along_axis(
    array: NDArray[np.float32], axis: int, count: int, scale: float
) -> NDArray[np.float32]:
    """Return `count` samples along `axis`, `scale` voxels apart, around the same centre."""
    last = array.shape[axis] - 1
    positions = (np.arange(count) - (count - 1) / 2) * scale + last / 2  # in voxels of `array`
    positions = positions.clip(0, last)
    below = np.floor(positions).astype(np.intp)
    above = np.minimum(below + 1, last)
    broadcast = [1] * array.ndim
    broadcast[axis] = count
    weight = (positions - below).astype(np.float32).reshape(broadcast)
    values = array.take(below, axis)
    step = array.take(above, axis)
    step -= values
    step *= weight
    values += step
    return np.asarray(values)
