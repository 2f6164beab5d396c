"""Intensity normalisation of a volume, before it is resampled.

Statistics are computed in float64, plane by plane, so that no second volume in float64 is needed.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedcross.errors import DataError
from fedcross.volumes.preprocessing import Preprocessing

Plane = NDArray[Any]


def normalise(voxels: NDArray[Any], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Normalise the intensities of a volume as `preprocessing.intensity` says.

    ``zscore``, ``zscore-nonzero`` and ``percentile`` use statistics of this volume; see `zscore`,
    `zscore_nonzero`, `clip_percentiles`. ``ct`` uses given numbers, see `scale_window`. They are the
    normalisations of nnU-Net (Isensee et al., Nature Methods 2021), except for ``percentile``.

    Parameters
    ----------
    voxels
        (D, H, W), any real type, finite.
    preprocessing
        Kind of normalisation and its parameters.

    Returns
    -------
    NDArray
        float32 (D, H, W).

    Raises
    ------
    DataError
        If the variance is not finite in float64, or the two percentiles of a volume with different
        values are equal.
    """
    if preprocessing.intensity == "zscore-nonzero":
        return zscore_nonzero(voxels)
    if preprocessing.percentiles is not None:
        return zscore(clip_percentiles(voxels, preprocessing.percentiles))
    if preprocessing.intensity == "ct":
        window, mean, std = preprocessing.window, preprocessing.mean, preprocessing.std
        assert window is not None, "checked with the settings"
        assert mean is not None, "checked with the settings"
        assert std is not None, "checked with the settings"
        return scale_window(voxels, window, mean, std)
    return zscore(voxels)


def zscore(voxels: NDArray[Any]) -> NDArray[np.float32]:
    """Standardise a volume: ``(v - mean) / std``, with the population standard deviation.

    Parameters
    ----------
    voxels
        (D, H, W), any real type. The statistics are computed in float64, plane by plane.

    Returns
    -------
    NDArray
        float32 (D, H, W); all zeros if all voxels are equal.

    Raises
    ------
    DataError
        If the variance is not finite in float64.
    """
    scores = np.zeros(voxels.shape, dtype=np.float32)
    # Checked first, because the rounded mean of equal voxels can differ from their value.
    if voxels.min() == voxels.max():
        return scores
    mean, deviation = _mean_and_deviation(voxels, np.ravel)
    if deviation > 0:
        for index, plane in enumerate(voxels):
            scores[index] = _subtract(plane, mean) / deviation
    return scores


def zscore_nonzero(voxels: NDArray[Any]) -> NDArray[np.float32]:
    """Standardise the non-zero voxels by their own mean and standard deviation.

    Voxels that are exactly 0 become 0, which is the mean of the others, as in nnU-Net. It is meant for
    volumes whose background was set to 0.

    Parameters
    ----------
    voxels
        (D, H, W), any real type.

    Returns
    -------
    NDArray
        float32 (D, H, W); all zeros if all non-zero voxels are equal or there are none.

    Raises
    ------
    DataError
        If the variance is not finite in float64.
    """
    scores = np.zeros(voxels.shape, dtype=np.float32)
    ends = [(values.min(), values.max()) for plane in voxels if (values := plane[plane != 0]).size]
    if not ends or min(low for low, _ in ends) == max(high for _, high in ends):
        return scores
    mean, deviation = _mean_and_deviation(voxels, lambda plane: plane[plane != 0])
    if deviation > 0:
        for index, plane in enumerate(voxels):
            scores[index] = np.where(plane != 0, _subtract(plane, mean) / deviation, 0)
    return scores


def clip_percentiles(voxels: NDArray[Any], percentiles: tuple[float, float]) -> NDArray[np.float32]:
    """Clip a volume to two of its own percentiles, interpolated linearly between voxels.

    Parameters
    ----------
    voxels
        (D, H, W), any real type.
    percentiles
        Lower and upper percentile, 0 to 100.

    Returns
    -------
    NDArray
        float32 (D, H, W).

    Raises
    ------
    DataError
        If the percentiles are equal although the voxels are not: nothing would be left to see.
    """
    low, high = (float(value) for value in np.percentile(voxels, percentiles))
    if low == high and voxels.min() != voxels.max():
        raise DataError(
            f"The percentiles {percentiles[0]:g} and {percentiles[1]:g} of the volume are both "
            f"{low:g}, so that clipping to them would leave one value.",
            "Crop the background of the volume, or use another intensity normalisation.",
        )
    clipped = np.empty(voxels.shape, dtype=np.float32)
    for index, plane in enumerate(voxels):
        clipped[index] = np.clip(plane, low, high)
    return clipped


def scale_window(
    voxels: NDArray[Any], window: tuple[float, float], mean: float, std: float
) -> NDArray[np.float32]:
    """Clip to a window and standardise by given numbers: ``(min(max(v, low), high) - mean) / std``.

    Parameters
    ----------
    voxels
        (D, H, W), any real type; in HU for CT.
    window
        Lowest and highest intensity.
    mean, std
        Usually of the labelled voxels of all training cases.

    Returns
    -------
    NDArray
        float32 (D, H, W).
    """
    scores = np.empty(voxels.shape, dtype=np.float32)
    for index, plane in enumerate(voxels):
        scores[index] = (np.clip(plane.astype(np.float64), *window) - mean) / std
    return scores


def _mean_and_deviation(
    voxels: NDArray[Any], select: Callable[[Plane], Plane]
) -> tuple[float, float]:
    """Mean and population standard deviation of the voxels that `select` returns of every plane."""

    def chosen() -> Iterator[Plane]:
        return (select(plane) for plane in voxels)

    count = sum(values.size for values in chosen())
    with np.errstate(over="ignore", invalid="ignore"):
        mean = sum(float(values.sum(dtype=np.float64)) for values in chosen()) / count
        squares = sum(float(np.square(_subtract(values, mean)).sum()) for values in chosen())
    deviation = math.sqrt(squares / count)
    if not math.isfinite(deviation):
        raise DataError("The volume's intensities are too large to be standardised.", "Scale it.")
    return mean, deviation


def _subtract(plane: Plane, mean: float) -> NDArray[np.float64]:
    return np.asarray(np.subtract(plane, mean, dtype=np.float64))
