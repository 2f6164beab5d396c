"""Figures of voxels: which are near the structures, and how well scores find the wrong ones."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy  # scipy imports its submodules on first use, which keeps the start of a process fast
from numpy.typing import NDArray

from fedcross.contract.measures import MEASURES
from fedcross.infer.compute import Result
from fedcross.study.evaluate.figures import BORDER, CONFIDENCE, VoxelFigures
from fedcross.uncertainty.discrimination import auroc
from fedcross.uncertainty.places import border_voxels
from fedcross.volumes.grid import Triple

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Scores:
    """Maps (z, y, x) that are higher where an error is more likely, by name."""

    maps: Mapping[str, Map]

    @classmethod
    def of(cls, result: Result) -> "Scores":
        """Return the measures of a result, 1 - confidence, and the closeness to the border."""
        maps: dict[str, Map] = {name: result.uncertainty(name) for name in MEASURES}
        maps[CONFIDENCE] = result.doubt
        maps[BORDER] = -border_distance(result.labels, result.grid.spacing_mm)
        return cls(maps)

    def figures(self, wrong: Mask, chosen: Mask | None = None) -> VoxelFigures:
        """Return how well each score finds the wrong voxels among the chosen ones; None is all."""
        where = slice(None) if chosen is None else chosen
        events = wrong[where].ravel()
        by_score = {name: values[where].ravel() for name, values in self.maps.items()}
        return VoxelFigures(
            voxels=events.size,
            wrong=int(np.count_nonzero(events)),
            auroc={name: auroc(values, events) for name, values in by_score.items()},
            average_precision={
                name: average_precision(values, events) for name, values in by_score.items()
            },
        )


def average_precision(scores: NDArray[np.floating], wrong: Mask) -> float | None:
    """Return the average precision of a score for errors: the area under precision over recall.

    It is the sum over the distinct scores, from the highest, of the precision times the gain in recall;
    nothing is interpolated. Scikit-learn computes it.

    Parameters
    ----------
    scores
        Floating-point array (n,); a higher score means less certain.
    wrong
        bool (n,): True where the segmentation is wrong.

    Returns
    -------
    float or None
        From 0 to 1; a score without information has the share of wrong voxels. None if no voxel or
        every voxel is wrong.
    """
    from sklearn.metrics import average_precision_score

    count = int(np.count_nonzero(wrong))
    if count in (0, wrong.size):
        return None
    return float(average_precision_score(wrong, scores))


def near_borders(
    truth: NDArray[np.uint8], labels: NDArray[np.uint8], spacing_mm: Triple, band_mm: float
) -> Mask:
    """Return the voxels at most `band_mm` from a border of the drawn or the found label map.

    A border consists of the voxels that share a face with a voxel of another label; distances are
    measured between centres.

    Parameters
    ----------
    truth, labels
        uint8 (z, y, x), of one shape.
    spacing_mm
        Voxel size (x, y, z).
    band_mm
        Above 0.

    Returns
    -------
    NDArray
        bool (z, y, x); False everywhere if both label maps are empty.
    """
    border = border_voxels(truth) | border_voxels(labels)
    near = np.zeros(truth.shape, np.bool_)
    found = scipy.ndimage.find_objects(border.view(np.uint8))
    if not found:
        return near
    box = tuple(
        slice(max(0, part.start - math.ceil(band_mm / step)), part.stop + math.ceil(band_mm / step))
        for part, step in zip(found[0], spacing_mm[::-1], strict=True)
    )
    distances = scipy.ndimage.distance_transform_edt(~border[box], sampling=spacing_mm[::-1])
    near[box] = distances <= band_mm
    return near


def border_distance(labels: NDArray[np.uint8], spacing_mm: Triple) -> Map:
    """Return the distance to the nearest border voxel in mm, float32; 0 everywhere without border."""
    border = border_voxels(labels)
    if not border.any():
        return np.zeros(labels.shape, np.float32)
    distances = scipy.ndimage.distance_transform_edt(~border, sampling=spacing_mm[::-1])
    return np.asarray(distances, np.float32)
