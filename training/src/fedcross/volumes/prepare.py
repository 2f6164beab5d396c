"""From a volume as it is stored to what the networks see, and back onto its own grid.

In this order: orientation to LPS (the nearest permutation and flips of the axes; an oblique remainder
stays, since the networks learned the acquisition's axes), z-score over the whole volume, linear
resampling to the bundle's spacing. Whoever cuts patches puts 0, the mean, around a smaller volume.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from fedcross.errors import DataError
from fedcross.volumes.grid import Grid, Triple, reorder_view
from fedcross.volumes.preprocessing import Preprocessing
from fedcross.volumes.resample import Sampling, chunks, resample_linear
from fedcross.volumes.slab import Slab
from fedcross.volumes.volume_io import MAX_VOXELS


@dataclass(frozen=True)
class Prepared:
    """A volume as the networks see it, and the way back.

    Attributes
    ----------
    array : NDArray
        float32 (D, H, W) = (z, y, x): z-scores on `grid`.
    grid : Grid
        Where `array` lies: the bundle's spacing, axes near LPS.
    oriented : Grid
        The input's own voxels, axes near LPS.
    source : Grid
        The input's own voxels in the order they were stored.
    """

    array: NDArray[np.float32]
    grid: Grid
    oriented: Grid
    source: Grid

    def without_array(self) -> Self:
        """Return the way back alone: `array` is empty, and its memory free if nobody else holds it."""
        return replace(self, array=np.empty((0, 0, 0), dtype=np.float32))


def prepare(image: sitk.Image, preprocessing: Preprocessing) -> Prepared:
    """Make what the networks see of a 3D scalar `image`.

    Where the spacing already is the bundle's, nothing is interpolated.

    Raises
    ------
    DataError
        If the volume would be absurdly large at the bundle's spacing, or its intensities are too
        large to be standardised.
    """
    source = Grid.of(image)
    image = sitk.DICOMOrient(image, preprocessing.orientation)
    oriented = Grid.of(image)
    grid = oriented.with_spacing(_snapped(oriented.spacing_mm, preprocessing.spacing_mm))
    if grid.voxels > MAX_VOXELS:
        shape = " x ".join(str(side) for side in grid.size)
        raise DataError(
            f"At the bundle's spacing the volume would have {shape} voxels, more than the "
            f"{MAX_VOXELS} that are accepted.",
            "Check the volume's spacing, or crop it.",
        )
    scores = zscore(sitk.GetArrayViewFromImage(image))
    array = resample_linear(scores, grid.shape, _scale(oriented, grid))
    return Prepared(array, grid, oriented, source)


def resample_to_source(array: NDArray[np.float32], prepared: Prepared) -> NDArray[np.float32]:
    """Bring values from the networks' grid back onto the input's own voxels.

    Parameters
    ----------
    array
        float32 (D, H, W) on ``prepared.grid``.
    prepared
        What `prepare` returned.

    Returns
    -------
    NDArray
        float32 on ``prepared.source``, (z, y, x) as stored. Linear; voxels outside the outermost
        samples get the nearest one's value. Without resampling the values are the same, bit for bit.
    """
    return resample_map_to_source([(slice(0, len(array)), array[None])], prepared)


def resample_map_to_source(slabs: Iterable[Slab], prepared: Prepared) -> NDArray[np.float32]:
    """Do what `resample_to_source` does with one map (C = 1) in slabs as `resample_slabs` takes them."""
    values = np.empty(prepared.source.shape, dtype=np.float32)
    oriented = reorder_view(values, prepared.source, prepared.oriented)
    for part, (one,) in resample_slabs(slabs, prepared):
        oriented[part] = one
    return values


def resample_slabs(slabs: Iterable[Slab], prepared: Prepared) -> Iterator[Slab]:
    """Bring C maps from the networks' grid onto the input's own voxels, slab by slab.

    Parameters
    ----------
    slabs
        All slices z of ``prepared.grid``, in order; float32 (C, dz, H, W). None is looked at after the
        next was asked for.
    prepared
        What `prepare` returned.

    Yields
    ------
    slice, NDArray
        Slices z of ``prepared.oriented``, in order; float32 there, the same bits however the slabs were
        cut. To be read, not written.
    """
    shape = prepared.oriented.shape
    sampling = Sampling(prepared.grid.shape, shape, _scale(prepared.grid, prepared.oriented))
    done = low = 0  # the next slice to yield; the first slice in `held`
    held: NDArray[np.float32] | None = None
    for part, slab in slabs:
        if done == shape[0]:
            continue  # all has been yielded, but the giver may want to be heard to the end
        held = slab if held is None else np.concatenate([held, slab], axis=1)
        ready = done
        while (
            ready < shape[0] and sampling.source_slices(slice(ready, ready + 1)).stop <= part.stop
        ):
            ready += 1
        for wanted in chunks(done, ready, shape):
            reach = sampling.source_slices(wanted)
            values = held[:, reach.start - low : reach.stop - low]  # (C, n, H, W)
            yield wanted, np.stack([sampling(each, wanted) for each in values])
        done = ready
        if done < shape[0]:
            first = min(sampling.source_slices(slice(done, done + 1)).start, part.stop)
            held = held[:, first - low :].copy()  # what the next slab is interpolated with
            low = first


def zscore(voxels: NDArray[Any]) -> NDArray[np.float32]:
    """Standardise: ``(v - mean) / std`` with the population's std over the whole volume.

    Parameters
    ----------
    voxels
        (D, H, W), any real type; the statistics are computed in float64, plane by plane.

    Returns
    -------
    NDArray
        float32; zeros where all voxels are equal.

    Raises
    ------
    DataError
        If the variance exceeds what float64 holds.
    """
    scores = np.zeros(voxels.shape, dtype=np.float32)
    # Asked first: the rounded mean of equal voxels need not be their value.
    if voxels.min() == voxels.max():
        return scores
    with np.errstate(over="ignore", invalid="ignore"):
        mean = sum(float(plane.sum(dtype=np.float64)) for plane in voxels) / voxels.size
        squares = sum(float(np.square(_minus(plane, mean)).sum()) for plane in voxels)
    deviation = math.sqrt(squares / voxels.size)
    if not math.isfinite(deviation):
        raise DataError("The volume's intensities are too large to be standardised.", "Scale it.")
    if deviation > 0:
        for index, plane in enumerate(voxels):
            scores[index] = _minus(plane, mean) / deviation
    return scores


def _minus(plane: NDArray[Any], mean: float) -> NDArray[np.float64]:
    return np.asarray(np.subtract(plane, mean, dtype=np.float64))


def _snapped(spacing_mm: Triple, wanted_mm: Triple) -> Triple:
    """Keep a spacing that differs from the wanted one in rounding only (headers hold float32)."""
    x, y, z = (
        old if math.isclose(old, new, rel_tol=1e-5) else new
        for old, new in zip(spacing_mm, wanted_mm, strict=True)
    )
    return x, y, z


def _scale(current: Grid, wanted: Grid) -> Triple:
    """Return the wanted spacing divided by the current one, in the order of array axes (z, y, x)."""
    x, y, z = (new / old for old, new in zip(current.spacing_mm, wanted.spacing_mm, strict=True))
    return z, y, x
