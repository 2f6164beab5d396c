"""An interval for the volume of a structure that covers the truth with a stated probability.

Split conformal prediction (Papadopoulos et al., "Inductive confidence machines for regression", ECML
2002; Lei et al., "Distribution-free predictive inference for regression", JASA 2018, section 5.2) with a
score that is relative to the members' spread::

    score = ln(true volume / ensemble's volume) / (spread + FLOOR)
    interval = ensemble's volume * exp(-below * (spread + FLOOR)) to
               ensemble's volume * exp(above * (spread + FLOOR))

`spread` is the population standard deviation of the logarithms of the members' volumes, at most
`LARGEST_SPREAD`; that much also if a member did not find the structure. `below` and
`above` are quantiles of the scores of labelled cases: of the negative and of the positive scores, with
half of the misses on each side, if there are enough cases, and otherwise of the absolute scores.
`fedcross.uncertainty.risk_control` chooses them, with the loss 1 for a miss. Scores are counted on a
fixed grid, on which they are rounded away from 0, so that the coverage does not fall.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedcross.uncertainty.risk_control import (
    Pooling,
    RiskCurves,
    fewest_cases,
    risk_bound,
    smallest_index,
)

COVERAGE = 0.9
"""Probability with which the interval covers the true volume."""
FLOOR = 0.05
"""Added to the members' spread, so that members that agree by chance do not make a narrow interval."""
LARGEST_SPREAD = 0.25
"""So that a single member that fails does not make an interval without limit."""
STEP = 0.1
"""Step of the grid of scores."""
STEPS = 200
"""The grid ends at STEPS * STEP = 20, a factor of e or more: larger scores are not told apart."""

WIDTH_STEP = 0.01
"""Step of the grid of widths, from `FLOOR` on."""
WIDTHS = round(LARGEST_SPREAD / WIDTH_STEP) + 1
"""Number of widths on that grid."""

Counts = NDArray[np.int64]


def log_spread(member_volumes_ml: Sequence[float]) -> float:
    """Return the standard deviation of the logarithms of the volumes, at most `LARGEST_SPREAD`."""
    volumes = np.asarray(member_volumes_ml, np.float64)
    if not (volumes > 0).all():
        return LARGEST_SPREAD
    return min(LARGEST_SPREAD, float(np.log(volumes).std()))


@dataclass(frozen=True)
class VolumeScale:
    """What the interval of a case is computed from.

    Attributes
    ----------
    volume_ml
        The ensemble's volume, above 0.
    width
        Spread of the members plus `FLOOR`.
    """

    volume_ml: float
    width: float

    @classmethod
    def of(cls, volume_ml: float, member_volumes_ml: Sequence[float]) -> "VolumeScale | None":
        """Return the scale of a case; None if the ensemble did not find the structure."""
        return cls(volume_ml, log_spread(member_volumes_ml) + FLOOR) if volume_ml > 0 else None

    def score(self, true_ml: float) -> float:
        """Return the score of a true volume; minus infinity if that is 0."""
        return math.log(true_ml / self.volume_ml) / self.width if true_ml > 0 else -math.inf

    def interval(self, below: float, above: float) -> tuple[float, float]:
        """Return the interval in mL for two quantiles of the scores, neither negative."""
        low = self.volume_ml * math.exp(-below * self.width)
        return low, self.volume_ml * math.exp(above * self.width)


def count_scores(scores: Sequence[float]) -> Counts:
    """Return the number of scores on the grid, int64 (2, `STEPS` + 2).

    Row 0 holds the negative scores, row 1 the others. Column i holds those with an absolute value above
    (i - 1) * `STEP` and up to i * `STEP`; the last column those beyond the grid.
    """
    counts = np.zeros((2, STEPS + 2), np.int64)
    for score in scores:
        size = min(abs(score), (STEPS + 1) * STEP)
        column = min(STEPS + 1, math.ceil(size / STEP - 1e-9))
        counts[int(score >= 0), column] += 1
    return counts


def count_widths(widths: Sequence[float]) -> Counts:
    """Return the number of widths on the grid, int64 (`WIDTHS`,).

    Column i holds those above `FLOOR` + (i - 1) * `WIDTH_STEP` and up to `FLOOR` + i * `WIDTH_STEP`.
    """
    counts = np.zeros(WIDTHS, np.int64)
    for width in widths:
        counts[min(WIDTHS - 1, max(0, math.ceil((width - FLOOR) / WIDTH_STEP - 1e-9)))] += 1
    return counts


def median_width(counts: Counts) -> float | None:
    """Return the median of counted widths, rounded up to the grid; None if there is none.

    Of an even number it is the lower one of the two in the middle.
    """
    total = int(counts.sum())
    if total == 0:
        return None
    return FLOOR + WIDTH_STEP * int(np.searchsorted(counts.cumsum(), (total + 1) // 2))


def choose_quantiles(
    sites: Sequence[Counts], pooling: Pooling, coverage: float = COVERAGE
) -> tuple[float, float] | None:
    """Return `below` and `above` for the scores of several sites.

    Parameters
    ----------
    sites
        `count_scores` of each site.
    pooling
        See `fedcross.uncertainty.risk_control`.
    coverage
        Above 0, below 1.

    Returns
    -------
    tuple of float or None
        None if there are too few cases, or the interval would reach beyond the grid.
    """
    used = np.array([counts for counts in sites if counts.sum() > 0])
    misses = 1 - coverage
    fewest = used.sum(axis=(1, 2)).min() if pooling == "per-site" and len(used) else used.sum()
    if fewest < fewest_cases(misses):
        return None
    if fewest >= fewest_cases(misses / 2):
        below, above = (_quantile(used, used[:, side], pooling, misses / 2) for side in (0, 1))
    else:
        below = above = _quantile(used, used.sum(axis=1), pooling, misses)
    return None if below is None or above is None else (below, above)


def _quantile(all_scores: Counts, counted: Counts, pooling: Pooling, misses: float) -> float | None:
    """Return the smallest quantile that keeps the share of `counted` (S, columns) above it small."""
    beyond = np.flip(np.flip(counted, axis=1).cumsum(axis=1), axis=1)[:, 1:].astype(np.float64)
    cases = all_scores.sum(axis=(1, 2)).astype(np.float64)
    # The loss of a case is 0 or 1, so its square is the loss.
    index = int(smallest_index(risk_bound(RiskCurves(cases, beyond, beyond), pooling), misses))
    return None if index < 0 else index * STEP
