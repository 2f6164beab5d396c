"""A reader corrects a segmentation place by place: how Dice and error change, by simulation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from fedcross.uncertainty.agreement import MM3_PER_ML
from fedcross.uncertainty.places import ball, border_voxels


@dataclass(frozen=True)
class ReviewCurve:
    """What remains after the first 0, 1, 2 ... places are corrected.

    Attributes
    ----------
    dice
        Mean Dice over the structures.
    error_ml
        Volume of the wrong voxels in mL.
    """

    dice: tuple[float, ...]
    error_ml: tuple[float, ...]


def correct_places(
    labels: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    places: Sequence[NDArray[np.intp]],
    structures: Sequence[int],
    voxel_mm3: float,
    count: int,
) -> ReviewCurve:
    """Correct one place after the other to the truth.

    Parameters
    ----------
    labels, truth
        Segmentation and drawn label map, uint8 (D, H, W), of one shape.
    places
        Flat indices of the voxels of each place, in the order of the review.
    structures
        Labels whose Dices are averaged; at least one. The Dice of two empty masks is 1.
    voxel_mm3
        Volume of a voxel in mm^3.
    count
        Number of places, n. With fewer places the last figures are repeated.

    Returns
    -------
    ReviewCurve
        With n + 1 figures, the first before any correction.
    """
    now, right = labels.flatten(), truth.ravel()
    sizes = {each: _sizes(now, right, each) for each in structures}
    wrong = int(np.count_nonzero(now != right))
    dices, errors = [_mean_dice(sizes)], [wrong]
    for place in places[:count]:
        changed = place[now[place] != right[place]]
        for label, counts in sizes.items():
            gained = int(np.count_nonzero(right[changed] == label))
            counts.both += gained
            counts.found += gained - int(np.count_nonzero(now[changed] == label))
        now[changed] = right[changed]
        dices.append(_mean_dice(sizes))
        errors.append(errors[-1] - len(changed))
    missing = count + 1 - len(dices)
    scale = voxel_mm3 / MM3_PER_ML
    return ReviewCurve(
        tuple(dices + dices[-1:] * missing),
        tuple(error * scale for error in errors + errors[-1:] * missing),
    )


def random_places(
    labels: NDArray[np.uint8],
    spacing_mm: Sequence[float],
    radius_mm: float,
    count: int,
    rng: np.random.Generator,
) -> list[NDArray[np.intp]]:
    """Draw places at random on the border of a segmentation.

    A place is a ball around a border voxel that lies in no earlier place. The border consists of the
    voxels that share a face with a voxel of another label.

    Parameters
    ----------
    labels
        Segmentation, uint8 (D, H, W).
    spacing_mm
        Distances of the voxels along the array's axes (z, y, x).
    radius_mm
        Radius of a place.
    count
        Number of places.
    rng
        Draws the voxels.

    Returns
    -------
    list of NDArray
        Flat indices of the voxels of each place; fewer than `count` if they hold the whole border.
    """
    border = np.argwhere(border_voxels(labels))
    offsets, shape = ball(radius_mm, spacing_mm), np.asarray(labels.shape)
    seen = np.zeros(labels.size, np.bool_)
    places: list[NDArray[np.intp]] = []
    for centre in border[rng.permutation(len(border))]:
        if len(places) == count:
            break
        if seen[np.ravel_multi_index(tuple(centre), labels.shape)]:
            continue
        voxels = centre + offsets
        inside = ((voxels >= 0) & (voxels < shape)).all(axis=1)
        flat = np.ravel_multi_index(tuple(voxels[inside].T), labels.shape)
        seen[flat] = True
        places.append(flat)
    return places


@dataclass
class _Sizes:
    """Numbers of voxels of a structure: in both label maps, in the corrected one, in the drawn one."""

    both: int
    found: int
    drawn: int


def _sizes(found: NDArray[np.uint8], drawn: NDArray[np.uint8], label: int) -> _Sizes:
    one, other = found == label, drawn == label
    return _Sizes(*(int(np.count_nonzero(mask)) for mask in (one & other, one, other)))


def _mean_dice(sizes: Mapping[int, _Sizes]) -> float:
    dices = [
        1.0 if each.found + each.drawn == 0 else 2 * each.both / (each.found + each.drawn)
        for each in sizes.values()
    ]
    return fmean(dices)
