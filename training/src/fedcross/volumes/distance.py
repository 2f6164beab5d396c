"""Distance of every voxel to the segmentation, in whole mm; a viewer hides what is farther away."""

import math

import numpy as np
import scipy  # scipy imports its submodules on first use, which keeps the start of a process fast
from numpy.typing import NDArray

from fedcross.contract.files import FARTHEST_MM
from fedcross.volumes.grid import Triple


def distance_map(labels: NDArray[np.uint8], spacing_mm: Triple) -> NDArray[np.uint8]:
    """Return the distance to the nearest voxel of any structure, in whole mm rounded up.

    Parameters
    ----------
    labels
        Label map, uint8 (z, y, x); 0 is background.
    spacing_mm
        Voxel spacing in mm, (x, y, z).

    Returns
    -------
    NDArray
        uint8 (z, y, x): 0 inside a structure, at most `fedcross.contract.files.FARTHEST_MM`, which means
        this distance or more. It is `FARTHEST_MM` everywhere if the label map has no structure.
    """
    distances = np.full(labels.shape, FARTHEST_MM, dtype=np.uint8)
    found = scipy.ndimage.find_objects((labels > 0).view(np.uint8))
    if not found:
        return distances
    spacing = spacing_mm[::-1]
    # Voxels outside this box are at least FARTHEST_MM away.
    box = tuple(
        slice(max(0, part.start - reach), min(side, part.stop + reach))
        for part, side, reach in zip(
            found[0],
            labels.shape,
            (math.ceil(FARTHEST_MM / step) for step in spacing),
            strict=True,
        )
    )
    # Only the indices of the nearest voxels; the distances of the whole box would need several times
    # the memory.
    nearest = scipy.ndimage.distance_transform_edt(
        labels[box] == 0, sampling=spacing, return_distances=False, return_indices=True
    )  # int32 (3, z, y, x)
    for z, plane in enumerate(distances[box]):
        exact = _distances(nearest[:, z], z, spacing)
        # The tolerance keeps a rounding error such as 3.0000000001 mm from becoming 4 mm.
        plane[:] = np.minimum(np.ceil(exact - 1e-6), FARTHEST_MM)
    return distances


def _distances(
    nearest: NDArray[np.int32], z: int, spacing: tuple[float, float, float]
) -> NDArray[np.float64]:
    """Return the distances in mm, (y, x), of the voxels of slice z to the indices `nearest`.

    `nearest` is int32 (3, y, x) with indices (z, y, x); `spacing` is in mm along (z, y, x).
    """
    y, x = np.ogrid[: nearest.shape[1], : nearest.shape[2]]
    offsets = ((at - own) * step for at, own, step in zip(nearest, (z, y, x), spacing, strict=True))
    squares = sum(np.square(offset, dtype=np.float64) for offset in offsets)
    return np.asarray(np.sqrt(squares))
