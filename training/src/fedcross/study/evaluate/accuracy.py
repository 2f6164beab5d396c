"""Accuracy of label maps, structure by structure."""

import numpy as np
from numpy.typing import NDArray

from fedcross.study.evaluate.figures import Accuracy
from fedcross.training.evaluation.surface import surface_distances
from fedcross.uncertainty.agreement import MM3_PER_ML, dice
from fedcross.volumes.grid import Grid


def measure_accuracy(
    found: NDArray[np.uint8], truth: NDArray[np.uint8], label: int, grid: Grid
) -> Accuracy:
    """Compare one structure in two label maps.

    Parameters
    ----------
    found, truth
        Predicted and drawn label map, uint8 (z, y, x) on `grid`.
    label
        Label of the structure.
    grid
        Grid of the image.
    """
    one, other = found == label, truth == label
    distances = surface_distances(one, other, grid.spacing_mm)
    voxels = int(np.count_nonzero(one)) - int(np.count_nonzero(other))
    return Accuracy(
        dice=dice(one, other),
        hd95_mm=distances.hd95_mm,
        assd_mm=distances.assd_mm,
        volume_error_ml=voxels * grid.voxel_volume_mm3 / MM3_PER_ML,
    )
