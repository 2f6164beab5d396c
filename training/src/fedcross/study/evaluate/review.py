"""The simulated review of a case: the list of the panel, places at random, and the best places."""

from collections.abc import Sequence
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from fedcross.infer.compute import Result
from fedcross.infer.results.hot_spots import hot_regions, place_radius_mm
from fedcross.study.evaluate.figures import Curve, ReviewFigures
from fedcross.study.evaluate.request import DRAWS, PLACES
from fedcross.uncertainty.places import find_places
from fedcross.uncertainty.review import ReviewCurve, correct_places, random_places


def simulate_review(
    result: Result,
    labels: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    structures: Sequence[int],
    *,
    seed: int,
) -> ReviewFigures:
    """Correct the places of the list, places at random, and the places with most errors.

    Parameters
    ----------
    result
        The segmentation; its hot spots are the list.
    labels, truth
        Its label map and the drawn one, uint8 (z, y, x); structures that were not drawn are background
        in both.
    structures
        Labels of the structures that were drawn; at least one.
    seed
        Seed of the random places.
    """
    spacing = result.grid.spacing_mm[::-1]
    radius = place_radius_mm(result)
    flat = [
        np.ravel_multi_index(tuple(place.indices.T), labels.shape) for place in hot_regions(result)
    ]
    best = find_places((labels != truth).astype(np.float32), spacing, radius, PLACES)
    largest = [np.ravel_multi_index(tuple(place.indices.T), labels.shape) for place in best]
    rng = np.random.default_rng(seed)
    drawn = [random_places(labels, spacing, radius, PLACES, rng) for _ in range(DRAWS)]

    def correct(places: Sequence[NDArray[np.intp]]) -> ReviewCurve:
        return correct_places(
            labels, truth, places, structures, result.grid.voxel_volume_mm3, PLACES
        )

    return ReviewFigures(
        places=len(flat),
        ranked=_curve([correct(flat)]),
        random=_curve([correct(places) for places in drawn]),
        limit=_curve([correct(largest)]),
    )


def _curve(curves: Sequence[ReviewCurve]) -> Curve:
    """Return the mean of curves of one length."""
    return Curve(
        dice=tuple(map(fmean, zip(*(curve.dice for curve in curves), strict=True))),
        error_ml=tuple(map(fmean, zip(*(curve.error_ml for curve in curves), strict=True))),
    )
