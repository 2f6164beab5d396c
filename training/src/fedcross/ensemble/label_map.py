"""From probabilities on the networks' grid to a label map on the input's own grid."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from fedcross.volumes.grid import reorder_view
from fedcross.volumes.prepare import Prepared, resample_slabs
from fedcross.volumes.slab import Slab


def label_map(
    probabilities: NDArray[np.float32], prepared: Prepared, inside: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """Return `label_map_of_slabs` of probabilities in one array, float32 (C, D, H, W)."""
    return label_map_of_slabs([(slice(0, probabilities.shape[1]), probabilities)], prepared, inside)


def label_map_of_slabs(
    slabs: Iterable[Slab],
    prepared: Prepared,
    inside: NDArray[np.bool_] | None = None,
    doubt: NDArray[np.float32] | None = None,
) -> NDArray[np.uint8]:
    """Return the most probable class of every voxel of the input's own grid.

    The probabilities are interpolated to that grid first, and compared there: comparing first would
    show the staircase of the networks' grid.

    Parameters
    ----------
    slabs
        All slices z of ``prepared.grid`` in order: float32 (C, dz, H, W), class 0 is the background.
    prepared
        The prepared volume; its array is not used.
    inside
        bool (z, y, x) on the input's own grid; voxels where it is False become background. None is
        True everywhere.
    doubt
        Receives 1 minus the largest probability, float32 (z, y, x), not negative, 0 where `inside` is
        False; None receives nothing.

    Returns
    -------
    NDArray
        uint8 (z, y, x) on the input's own grid. Of equally probable classes the lowest.
    """
    labels = np.zeros(prepared.source.shape, dtype=np.uint8)
    oriented = reorder_view(labels, prepared.source, prepared.oriented)
    doubtful = None if doubt is None else reorder_view(doubt, prepared.source, prepared.oriented)
    for part, probabilities in resample_slabs(slabs, prepared):
        best, winner = probabilities[0], oriented[part]
        for label in range(1, len(probabilities)):
            winner[probabilities[label] > best] = label
            best = np.maximum(best, probabilities[label])
        if doubtful is not None:
            doubtful[part] = np.maximum(1 - best, np.float32(0))
    if inside is not None:
        labels[~inside] = 0
        if doubt is not None:
            doubt[~inside] = 0
    return labels
