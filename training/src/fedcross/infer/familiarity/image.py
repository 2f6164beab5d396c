"""Measures the images of a case: geometry, intensities, texture and layout.

Intensities are the normalised ones on the networks' grid. Every property is one finite number. Positive
quantities are given as natural logarithms, so that a factor is a difference.
"""

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fedcross.volumes.grid import Grid
from fedcross.volumes.prepare import Prepared

AXES = ("x", "y", "z")
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
LAGS = (1, 3)
"""Distances in voxels at which the texture is measured."""
MAX_VOXELS = 2**21
"""Number of voxels of a channel that are read; of a larger volume evenly spaced slabs are read."""
SLAB = 8
"""Slices of a slab."""
SMALLEST = 1e-4
"""Smallest value of which a logarithm is taken, in units of the normalised intensities."""

Properties = dict[str, float]


def measure_geometry(grid: Grid) -> Properties:
    """Return the logarithms of spacing and field of view in mm along the axes x, y, z of a grid."""
    found: Properties = {}
    for axis, step, count in zip(AXES, grid.spacing_mm, grid.size, strict=True):
        found[f"spacing_{axis}"] = float(np.log(step))
        found[f"field_of_view_{axis}"] = float(np.log(step * count))
    return found


def measure_images(prepared: Prepared) -> Properties:
    """Return all properties of the images of a case.

    Parameters
    ----------
    prepared
        The prepared images, with their intensities.

    Returns
    -------
    dict
        Property to value. Names of properties of a channel end with ``:`` and its index.
    """
    found = measure_geometry(prepared.oriented)
    for index, channel in enumerate(prepared.array):
        values = _intensities(channel) | _texture(channel) | _layout(channel)
        found |= {f"{name}:{index}": value for name, value in values.items()}
    return found


def _slabs(channel: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Yield evenly spaced slabs (dz, H, W) of at most about `MAX_VOXELS` voxels in all."""
    slices = channel.shape[0]
    wanted = max(1, MAX_VOXELS // (SLAB * channel[0].size))
    count = min(wanted, -(-slices // SLAB))
    if count * SLAB >= slices:
        yield channel
        return
    for start in np.linspace(0, slices - SLAB, count).round().astype(int):
        yield channel[start : start + SLAB]


def _intensities(channel: NDArray[np.float32]) -> Properties:
    """Percentiles, skewness, and the share of voxels with the lowest intensity (padding, air)."""
    step = -(-channel.size // MAX_VOXELS)
    values = channel.ravel()[::step].astype(np.float64)
    found = {
        f"percentile_{percent}": float(value)
        for percent, value in zip(PERCENTILES, np.percentile(values, PERCENTILES), strict=True)
    }
    deviation = values.std()
    centred = (values - values.mean()) / max(deviation, SMALLEST)
    found["skewness"] = float(np.mean(centred**3))
    found["share_of_lowest"] = float(np.mean(values <= values.min() + 1e-3 * deviation))
    return found


def _texture(channel: NDArray[np.float32]) -> Properties:
    """Logarithms of the mean squared difference of voxels at some distances, and of the noise.

    The noise is the estimate of Immerkaer, "Fast noise variance estimation", CVIU 1996, in slices z.
    """
    differences = {key: _Mean() for key in itertools.product(AXES, LAGS)}
    noise = _Mean()
    for slab in _slabs(channel):
        for (name, lag), mean in differences.items():
            axis = 2 - AXES.index(name)
            if slab.shape[axis] > lag:
                ahead = np.take(slab, range(lag, slab.shape[axis]), axis)
                behind = np.take(slab, range(slab.shape[axis] - lag), axis)
                mean.add(np.square(ahead - behind))
        if min(slab.shape[1:]) > 2:
            twice = slab[:, 2:] - 2 * slab[:, 1:-1] + slab[:, :-2]
            noise.add(np.abs(twice[..., 2:] - 2 * twice[..., 1:-1] + twice[..., :-2]))
    found = {
        f"roughness_{name}_{lag}": float(np.log(mean.value + SMALLEST))
        for (name, lag), mean in differences.items()
    }
    found["noise"] = float(np.log(np.sqrt(np.pi / 2) / 6 * noise.value + SMALLEST))
    return found


def _layout(channel: NDArray[np.float32]) -> Properties:
    """For each axis: by how much the last third is brighter than the first, the middle than both."""
    found: Properties = {}
    for axis, name in zip((2, 1, 0), AXES, strict=True):
        others = tuple({0, 1, 2} - {axis})
        profile = channel.mean(axis=others, dtype=np.float64)
        first, middle, last = (
            float(profile[low:high].mean()) for low, high in _thirds(profile.size)
        )
        found[f"slope_{name}"] = last - first
        found[f"centre_{name}"] = middle - (first + last) / 2
    return found


def _thirds(side: int) -> list[tuple[int, int]]:
    """Return the beginning and the end of each third of an axis; none is empty."""
    edges = [side * part // 3 for part in range(4)]
    return [(min(low, side - 1), max(high, low + 1)) for low, high in itertools.pairwise(edges)]


class _Mean:
    """The mean of the numbers of some arrays; 0 without any."""

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def add(self, values: NDArray[np.float32]) -> None:
        self._sum += float(values.sum(dtype=np.float64))
        self._count += values.size

    @property
    def value(self) -> float:
        return self._sum / max(1, self._count)
