"""Measures what an ensemble found in a case: size and place of each structure, and the doubt.

They are measured on every n-th voxel of the networks' grid, so that they cost little.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedcross.ensemble.members import EnsembleOutcome
from fedcross.infer.familiarity.image import AXES, Properties
from fedcross.uncertainty.agreement import dice
from fedcross.volumes.grid import Grid
from fedcross.volumes.prepare import Prepared

MAX_VOXELS = 2**18
"""Number of voxels that are read, about."""
SMALLEST_ML = 0.01
"""Volume of a structure that was not found."""
SHELL = 2
"""Thickness of the surroundings of a structure, in voxels that are read."""


@dataclass(frozen=True)
class Thumbnail:
    """Every n-th voxel of the normalised images.

    Attributes
    ----------
    voxels
        float32 (channels, d, h, w).
    step
        n, along each axis.
    """

    voxels: NDArray[np.float32]
    step: int


def take_thumbnail(prepared: Prepared) -> Thumbnail:
    """Return at most about `MAX_VOXELS` evenly spaced voxels of each channel, copied."""
    step = max(1, math.ceil((prepared.array[0].size / MAX_VOXELS) ** (1 / 3)))
    return Thumbnail(prepared.array[:, ::step, ::step, ::step].copy(), step)


def measure_findings(
    outcome: EnsembleOutcome, thumbnail: Thumbnail, grid: Grid, labels: Sequence[int]
) -> Properties:
    """Return the properties of what an ensemble found.

    Parameters
    ----------
    outcome
        What the members computed.
    thumbnail
        Of the same case.
    grid
        The networks' grid.
    labels
        Labels of the structures.

    Returns
    -------
    dict
        Property to value. Names of properties of a structure end with ``:`` and its label. Of a
        structure that was not found, place and contrast are 0.
    """
    mean = _every_nth(outcome, thumbnail.step)  # (C, d, h, w)
    found_labels = mean.argmax(axis=0)
    found = {"doubt": _doubt(mean, found_labels), "disagreement": _disagreement(outcome, labels)}
    voxel_ml = grid.voxel_volume_mm3 * thumbnail.step**3 / 1000
    for label in labels:
        mask = found_labels == label
        values = {"volume": math.log(max(mask.sum() * voxel_ml, SMALLEST_ML))}
        values |= _place(mask) | _contrast(mask, thumbnail.voxels)
        found |= {f"{name}:{label}": value for name, value in values.items()}
    return found


def _every_nth(outcome: EnsembleOutcome, step: int) -> NDArray[np.float32]:
    """Return the mean probabilities at every n-th voxel, float32 (C, d, h, w)."""
    slabs = [
        values[:, -part.start % step :: step, ::step, ::step].copy()
        for part, values in outcome.statistics.mean()
    ]
    return np.concatenate(slabs, axis=1)


def _doubt(mean: NDArray[np.float32], labels: NDArray[np.intp]) -> float:
    """Logarithm of the sum of 1 - max(probability) per voxel found."""
    doubt = float((1 - mean.max(axis=0)).sum(dtype=np.float64))
    return math.log((doubt + 1) / (np.count_nonzero(labels) + 1))


def _disagreement(outcome: EnsembleOutcome, labels: Sequence[int]) -> float:
    """Logarithm of 1.01 minus the mean Dice over all pairs of members and structures."""
    step = max(1, math.ceil((math.prod(outcome.member_labels[0].shape) / MAX_VOXELS) ** (1 / 3)))
    maps = [
        np.stack([each[z][::step, ::step] for z in range(0, each.shape[0], step)])
        for each in outcome.member_labels
    ]
    pairs = [
        dice(one == label, other == label)
        for one, other in itertools.combinations(maps, 2)
        for label in labels
    ]
    return math.log(1.01 - (sum(pairs) / len(pairs) if pairs else 1))


def _place(mask: NDArray[np.bool_]) -> Properties:
    """Centre of a structure, -0.5 to 0.5 along each axis, and its share in the outermost voxels."""
    count = int(mask.sum())
    found: Properties = {}
    edge = 0
    for axis, name in zip((2, 1, 0), AXES, strict=True):
        side = mask.shape[axis]
        along = mask.sum(axis=tuple({0, 1, 2} - {axis}))
        centre = float(along @ (np.arange(side) + 0.5)) / side / count - 0.5 if count else 0.0
        found[f"place_{name}"] = centre
        edge += int(along[0]) + int(along[-1])
    found["share_at_edge"] = edge / count if count else 0.0
    return found


def _contrast(mask: NDArray[np.bool_], images: NDArray[np.float32]) -> Properties:
    """For each channel the mean in a structure, and by how much it is brighter than around it."""
    around = ndimage.binary_dilation(mask, iterations=SHELL) & ~mask
    found: Properties = {}
    for index, image in enumerate(images):
        inside = float(image[mask].mean()) if mask.any() else 0.0
        outside = float(image[around].mean()) if around.any() else inside
        found[f"brightness_{index}"] = inside
        found[f"contrast_{index}"] = inside - outside
    return found
