"""How far every voxel is from the segmentation, coarsely: to show only what is near it."""

import math

import numpy as np
import scipy  # loads its parts when they are used: not before the first patch
from numpy.typing import NDArray

from fedcross.contract.files import FARTHEST_MM
from fedcross.volumes.grid import Triple


def distance_map(labels: NDArray[np.uint8], spacing_mm: Triple) -> NDArray[np.uint8]:
    """Return the distance to the nearest voxel of any structure, in whole mm rounded up.

    Parameters
    ----------
    labels
        Label map (z, y, x), 0 is background.
    spacing_mm
        Of the voxels, (x, y, z).

    Returns
    -------
    NDArray
        uint8 (z, y, x): 0 inside a structure, at most `FARTHEST_MM`, which is everywhere if there
        is none.
    """
    distances = np.full(labels.shape, FARTHEST_MM, dtype=np.uint8)
    found = scipy.ndimage.find_objects((labels > 0).view(np.uint8))
    if not found:
        return distances
    spacing = spacing_mm[::-1]
    # Beyond this box everything is far.
    box = tuple(
        slice(max(0, part.start - reach), min(side, part.stop + reach))
        for part, side, reach in zip(
            found[0],
            labels.shape,
            (math.ceil(FARTHEST_MM / step) for step in spacing),
            strict=True,
        )
    )
    # Only where the nearest voxel is: distances of the whole box take several times the memory.
    nearest = scipy.ndimage.distance_transform_edt(
        labels[box] == 0, sampling=spacing, return_distances=False, return_indices=True
    )  # int32 (3, z, y, x)
    for z, plane in enumerate(distances[box]):
        exact = _distances(nearest[:, z], z, spacing)
        # Rounding in the distance must not push 3.0000000001 mm up to 4.
        plane[:] = np.minimum(np.ceil(exact - 1e-6), FARTHEST_MM)
    return distances


def _distances(
    nearest: NDArray[np.int32], z: int, spacing: tuple[float, float, float]
) -> NDArray[np.float64]:
    """Return how far the voxels of slice z, (y, x), are from the voxels at the indices `nearest`."""
    y, x = np.ogrid[: nearest.shape[1], : nearest.shape[2]]
    apart = ((at - here) * step for at, here, step in zip(nearest, (z, y, x), spacing, strict=True))
    squares = sum(np.square(part, dtype=np.float64) for part in apart)
    return np.asarray(np.sqrt(squares))
