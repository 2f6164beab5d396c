"""Turn the images of a case into the input of the networks, and resample results to the own grid.

The steps are, in this order:

1. Orientation to LPS by the nearest permutation and flips of the axes. An oblique volume keeps the
   remaining rotation, because the networks are trained on the axes of the acquisition.
2. Intensity normalisation for each channel on its own, see `fedcross.volumes.intensity`.
3. Linear resampling of a further channel onto the grid of the first image, if its grid differs
   (`fedcross.volumes.coregister`).
4. Linear resampling to the bundle's spacing.

A volume smaller than a patch is padded with 0 when patches are cut
(`fedcross.patches.sliding_window.cut_patches`).
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from fedcross.errors import DataError
from fedcross.volumes.coregister import onto_grid
from fedcross.volumes.files.checks import MAX_VOXELS
from fedcross.volumes.grid import Grid, Triple, reorder_view
from fedcross.volumes.intensity import normalise
from fedcross.volumes.preprocessing import Preprocessing
from fedcross.volumes.resample import Sampling, chunks, resample_linear
from fedcross.volumes.slab import Slab


@dataclass(frozen=True)
class Prepared:
    """The input of the networks, and the grids that are needed to resample results.

    Attributes
    ----------
    array : NDArray
        Normalised intensities on `grid`, float32 (channels, D, H, W); the axes D, H, W are z, y, x.
    grid : Grid
        Grid of the networks: the bundle's spacing, axes near LPS.
    oriented : Grid
        Grid of the first image, with its axes reordered and flipped to be near LPS.
    source : Grid
        Grid of the first image in its stored order. All results are on this grid.
    """

    array: NDArray[np.float32]
    grid: Grid
    oriented: Grid
    source: Grid

    def without_array(self) -> Self:
        """Return a copy with the grids and an empty `array`, so that its memory can be freed."""
        return replace(self, array=np.empty((0, 0, 0, 0), dtype=np.float32))


def prepare(
    image: sitk.Image,
    preprocessing: Preprocessing,
    further: Sequence[sitk.Image] = (),
    check_grid: Callable[[Grid], object] | None = None,
) -> Prepared:
    """Turn 3D scalar images of one case into the input of the networks.

    If the images have the bundle's spacing and one grid, nothing is interpolated.

    Parameters
    ----------
    image
        Image of the first channel: three axes, one finite number a voxel.
    preprocessing
        Settings of the bundle.
    further
        Images of the further channels, of the same kind, in the order of ``preprocessing.channels``.
    check_grid
        Called with the grid of the networks before anything is allocated on it; it raises an error if
        the grid is not wanted.

    Returns
    -------
    Prepared
        Normalised intensities and grids.

    Raises
    ------
    DataError
        If the volume would have more than `fedcross.volumes.files.checks.MAX_VOXELS` voxels at the
        bundle's spacing, its intensities cannot be normalised, see
        `fedcross.volumes.intensity.normalise`, or a further image has no
        common point in space with the first.
    ValueError
        If the number of images is not that of the channels.
    """
    source = Grid.of(image)
    image = sitk.DICOMOrient(image, preprocessing.orientation)
    oriented = Grid.of(image)
    grid = with_spacing(oriented, preprocessing.spacing_mm)
    if grid.voxels > MAX_VOXELS:
        shape = " x ".join(str(side) for side in grid.size)
        raise DataError(
            f"At the bundle's spacing the volume would have {shape} voxels, more than the "
            f"{MAX_VOXELS} that are accepted.",
            "Check the volume's spacing, or crop it.",
        )
    if check_grid is not None:
        check_grid(grid)
    first, *names = preprocessing.channel_names
    values = normalise(sitk.GetArrayViewFromImage(image), preprocessing)
    arrays = [_resample(values, oriented, grid)]
    for other, name in zip(further, names, strict=True):
        turned = sitk.DICOMOrient(other, preprocessing.orientation)
        values = normalise(sitk.GetArrayViewFromImage(turned), preprocessing)
        values = onto_grid(values, Grid.of(turned), oriented, (first, name))
        arrays.append(_resample(values, oriented, grid))
    array = np.stack(arrays) if further else arrays[0][None]  # one channel is not copied
    return Prepared(array, grid, oriented, source)


def network_grid(source: Grid, preprocessing: Preprocessing) -> Grid:
    """Return the grid of the networks for an image on the grid `source`, as `prepare` makes it."""
    tiny = sitk.Image([1, 2, 3], sitk.sitkUInt8)  # the sizes tell the axes apart
    tiny.SetDirection(source.direction)
    turned = sitk.DICOMOrient(tiny, preprocessing.orientation)
    order = [side - 1 for side in turned.GetSize()]
    axes = Grid.of(turned).axes
    is_flipped = [axes[:, new] @ source.axes[:, old] < 0 for new, old in enumerate(order)]
    corner = [0, 0, 0]
    for flipped, old in zip(is_flipped, order, strict=True):
        corner[old] = source.size[old] - 1 if flipped else 0
    x, y, z = (float(value) for value in (source.index_to_world @ (*corner, 1))[:3])
    size_x, size_y, size_z = (source.size[old] for old in order)
    step_x, step_y, step_z = (source.spacing_mm[old] for old in order)
    oriented = Grid(
        (size_x, size_y, size_z), (step_x, step_y, step_z), (x, y, z), turned.GetDirection()
    )
    return with_spacing(oriented, preprocessing.spacing_mm)


def with_spacing(oriented: Grid, spacing_mm: Triple) -> Grid:
    """Return the grid of the networks: the box and centre of `oriented` with a bundle's spacing, mm.

    The spacing of an axis stays as it is if it differs from the bundle's by rounding only.
    """
    return oriented.with_spacing(_snap_spacing(oriented.spacing_mm, spacing_mm))


def _resample(values: NDArray[np.float32], oriented: Grid, grid: Grid) -> NDArray[np.float32]:
    """Resample intensities (D, H, W) from the oriented grid to that of the networks."""
    return resample_linear(values, grid.shape, spacing_ratio(oriented, grid))


def resample_to_source(array: NDArray[np.float32], prepared: Prepared) -> NDArray[np.float32]:
    """Resample one map from the networks' grid to the grid of the input volume, linearly.

    Parameters
    ----------
    array
        Map on ``prepared.grid``, float32 (D, H, W).
    prepared
        Result of `prepare`.

    Returns
    -------
    NDArray
        float32 on ``prepared.source``, (z, y, x) in stored order. Voxels beyond the outermost samples
        get the value of the nearest sample. If both grids have the same spacing, the values are
        copied bit for bit.
    """
    return resample_map_to_source([(slice(0, len(array)), array[None])], prepared)


def resample_map_to_source(slabs: Iterable[Slab], prepared: Prepared) -> NDArray[np.float32]:
    """Resample one map like `resample_to_source`, but from slabs (C = 1), see `resample_slabs`."""
    values = np.empty(prepared.source.shape, dtype=np.float32)
    oriented = reorder_view(values, prepared.source, prepared.oriented)
    for part, (one,) in resample_slabs(slabs, prepared):
        oriented[part] = one
    return values


def resample_slabs(slabs: Iterable[Slab], prepared: Prepared) -> Iterator[Slab]:
    """Resample C maps from the networks' grid to the oriented grid of the input, slab by slab.

    Parameters
    ----------
    slabs
        All slices z of ``prepared.grid`` in order, float32 (C, dz, H, W). The array of a slab may be
        overwritten as soon as the next slab is requested.
    prepared
        Result of `prepare`.

    Yields
    ------
    slice, NDArray
        Slices z of ``prepared.oriented`` in order, and their values, float32 (C, dz, H, W). The values
        do not depend on how the slabs were cut. The array must not be changed.
    """
    shape = prepared.oriented.shape
    sampling = Sampling(prepared.grid.shape, shape, spacing_ratio(prepared.grid, prepared.oriented))
    done = low = 0  # the next slice to yield; the first slice in `held`
    held: NDArray[np.float32] | None = None
    for part, slab in slabs:
        if done == shape[0]:
            continue  # all slices are yielded; the remaining slabs are consumed for their side effects
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
            held = held[:, first - low :].copy()  # slices that the next result is interpolated from
            low = first


def _snap_spacing(spacing_mm: Triple, wanted_mm: Triple) -> Triple:
    """Return the wanted spacing, but keep the current one on axes that differ by rounding only.

    Some file formats store the spacing in float32.
    """
    x, y, z = (
        old if math.isclose(old, new, rel_tol=1e-5) else new
        for old, new in zip(spacing_mm, wanted_mm, strict=True)
    )
    return x, y, z


def spacing_ratio(current: Grid, wanted: Grid) -> Triple:
    """Return the wanted spacing divided by the current one, in the order of array axes (z, y, x)."""
    x, y, z = (new / old for old, new in zip(current.spacing_mm, wanted.spacing_mm, strict=True))
    return z, y, x
