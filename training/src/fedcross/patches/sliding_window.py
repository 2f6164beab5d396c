"""Run a member on overlapping patches of a volume and blend the results with Gaussian weights.

For positions and weights of patches see `fedcross.patches.placement`. Axes are (D, H, W) = (z, y, x).
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from fedcross.patches.blend import Blend
from fedcross.patches.placement import (
    Box,
    Start,
    gaussian_weight,
    padding_before,
    plan_patches,
    select_touching,
)
from fedcross.patches.predictor import BlendingPredictor, PatchPredictor
from fedcross.volumes.slab import Slab

Progress = Callable[[int, int], None]


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
    """Return a member's blended probabilities over a whole volume as one array.

    Parameters
    ----------
    predict
        The member.
    volume
        Normalised intensities, float32 (channels, D, H, W).
    patch
        Shape of a patch, (d, h, w).
    overlap
        Share of a patch by which neighbours overlap at least, 0 <= overlap < 1.
    classes
        C, background included.
    needed
        Slices (z, y, x) of the part of the volume that is needed; None is the whole volume. Only patches
        that touch this part are computed. Inside it the result equals that of all patches bit for bit.
    progress
        Called with (patches done, number of patches) after each patch.

    Returns
    -------
    NDArray
        float32 (C, D, H, W); background with probability 1 where no patch lies.
    """
    shape = volume.shape[1:]
    starts = plan_patches(shape, patch, overlap)
    if needed is not None:
        starts = select_touching(starts, patch, needed)
    blended = np.empty((classes, *shape), dtype=np.float32)
    for part, probabilities in stream_patches(
        predict, volume, patch=patch, starts=starts, classes=classes, progress=progress
    ):
        blended[:, part] = probabilities
    return blended


def stream_patches(
    predict: PatchPredictor,
    volume: NDArray[np.float32],
    *,
    patch: Sequence[int],
    starts: Sequence[Start],
    classes: int,
    progress: Progress | None = None,
) -> Iterator[Slab]:
    """Yield a member's blended probabilities over some patches, slab by slab.

    Patches are sorted by their first slice. So all slices before the first slice of the next patch are
    finished, and only as many slices as a patch is deep are in memory.

    Parameters
    ----------
    predict
        The member. It is not run on patches of air (see `cut_patches`), which are background with
        probability 1.
    volume
        Normalised intensities, float32 (channels, D, H, W).
    patch
        Shape of a patch, (d, h, w).
    starts
        First voxel (z, y, x) of each patch: all or some of the patches that
        `fedcross.patches.placement.plan_patches` returns, in its order. A voxel without any patch is
        background with probability 1.
    classes
        C, background included.
    progress
        Called with (patches done, number of patches) after each patch, including patches of air.

    Yields
    ------
    slice, NDArray
        Slices z of the volume, in order and without gaps, and their probabilities, float32
        (C, dz, H, W). A slab has at most `fedcross.volumes.slab.SLAB_VOXELS` voxels, or one slice. The
        array is valid until the next one is requested. The cuts depend on shapes and `starts` only.
    """
    shape = volume.shape[1:]
    before = list(map(padding_before, shape, patch))
    padded = [max(side, part) for side, part in zip(shape, patch, strict=True)]
    weight = gaussian_weight(patch)
    if isinstance(predict, BlendingPredictor):
        slab = predict.start_blend(classes, padded, weight)
    else:
        slab = Blend(predict, classes, padded, weight)
    depth, *sides = (slice(low, low + side) for low, side in zip(before, shape, strict=True))

    def trim(finished: Iterator[Slab]) -> Iterator[Slab]:  # removes the padding
        for part, probabilities in finished:
            low, high = max(part.start, depth.start), min(part.stop, depth.stop)
            if low < high:
                kept = slice(low - part.start, high - part.start)
                inner = slice(low - depth.start, high - depth.start)
                yield inner, probabilities[:, kept, *sides]

    for done, (start, voxels) in enumerate(cut_patches(volume, patch, starts), start=1):
        z, y, x = (low + lack for low, lack in zip(start, before, strict=True))
        yield from trim(slab.finish(z))
        if voxels is None:
            slab.add_background((z, y, x))
        else:
            slab.add((z, y, x), voxels)
        if progress is not None:
            progress(done, len(starts))
    yield from trim(slab.finish(padded[0]))


def cut_patches(
    volume: NDArray[np.float32], patch: Sequence[int], starts: Sequence[Start]
) -> Iterator[tuple[Start, NDArray[np.float32] | None]]:
    """Yield the start and the voxels of each patch.

    Parameters
    ----------
    volume
        Normalised intensities, float32 (channels, D, H, W).
    patch
        Shape of a patch, (d, h, w).
    starts
        First voxel (z, y, x) of each patch; negative where the patch begins before the volume.

    Yields
    ------
    tuple of int, NDArray or None
        Start, and the voxels as a contiguous float32 array (channels, d, h, w), padded with 0 outside
        the volume. None instead of the voxels for a patch of air: in every channel all voxels are
        equal, as in padding, in erased parts, or outside the scanner's field of view.
    """
    for start in starts:
        inside = tuple(slice(max(n, 0), n + side) for n, side in zip(start, patch, strict=True))
        voxels = np.ascontiguousarray(volume[:, *inside])
        if voxels.shape[1:] != tuple(patch):
            around = np.zeros((len(volume), *patch), dtype=np.float32)
            there = zip(start, voxels.shape[1:], strict=True)
            around[:, *(slice(max(-n, 0), max(-n, 0) + side) for n, side in there)] = voxels
            voxels = around
        yield start, None if (voxels == voxels[:, :1, :1, :1]).all() else voxels
