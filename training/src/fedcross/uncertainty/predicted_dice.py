"""Predict the Dice with the truth from the members' agreement, with an error.

A line is fitted through the cases' mean pairwise Dice and true Dice (the pairwise Dice of an ensemble is
the case score to beat in Zenk et al., "Comparative benchmarking of failure detection methods in medical
image segmentation", Medical Image Analysis 2025). It needs only counts on a fixed grid, which sites can
add. A case counts with the middle of its cell; a cell is 0.02 wide.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

BINS: Final = 50
"""Cells from 0 to 1 along agreement and along Dice."""
FEWEST_CASES: Final = 3
"""With fewer cases there is no prediction."""

_PRIOR_SLOPE = 1.0
_PRIOR_SCATTER = 0.005  # weight of this slope: five cases whose agreement has a deviation of 0.03
_PRIOR_ERROR, _PRIOR_CASES = 0.15, 2.0  # so that few cases on a line do not promise an error of 0
_HUBER = 1.345  # 95 % efficiency for a normal distribution (Huber, "Robust Statistics", 1981)
_SMALLEST_SCALE = 0.01  # half a cell
_ITERATIONS = 50
_LARGEST_LEVERAGE = 0.9


@dataclass(frozen=True)
class DiceLine:
    """A line from agreement to Dice.

    Attributes
    ----------
    intercept, slope
        The predicted Dice is intercept + slope times agreement, from 0 to 1; `slope` is not negative.
    error
        Root mean square of the errors of prediction, each case predicted by the others.
    """

    intercept: float
    slope: float
    error: float

    def predict(self, agreement: float) -> float:
        """Return the predicted Dice for a mean pairwise Dice, 0 to 1."""
        return min(1.0, max(0.0, self.intercept + self.slope * agreement))


def count_cases(agreements: NDArray[np.float64], dices: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the number of cases in each cell, int64 (`BINS` of agreement, `BINS` of Dice)."""
    counts = np.zeros((BINS, BINS), np.int64)
    np.add.at(counts, (_cell(agreements), _cell(dices)), 1)
    return counts


def _cell(values: NDArray[np.float64]) -> NDArray[np.intp]:
    return np.clip((np.asarray(values) * BINS).astype(np.intp), 0, BINS - 1)


def fit_line(counts: NDArray[np.int64]) -> DiceLine | None:
    """Fit the line to the counts of all cases.

    The fit minimises Huber's loss, so that a few failures do not turn the line; their errors count in
    full. The slope is drawn to 1 with a small weight, which decides only where the cases have nearly the
    same agreement. The error is drawn to 0.15 with the weight of two cases.

    Parameters
    ----------
    counts
        Sum of the sites' `count_cases`, int64 (`BINS`, `BINS`).

    Returns
    -------
    DiceLine or None
        None with fewer than `FEWEST_CASES` cases.
    """
    cases = int(counts.sum())
    if cases < FEWEST_CASES:
        return None
    rows, columns = np.nonzero(counts)
    x, y = (rows + 0.5) / BINS, (columns + 0.5) / BINS
    repeats = counts[rows, columns].astype(np.float64)
    robust = np.ones(len(x))
    for _ in range(_ITERATIONS):
        weights = repeats * robust
        intercept, slope = _weighted_line(x, y, weights)
        residuals = y - intercept - slope * x
        scale = max(1.4826 * _weighted_median(np.abs(residuals), repeats), _SMALLEST_SCALE)
        robust = np.minimum(1, _HUBER * scale / np.maximum(np.abs(residuals), 1e-12))
    offsets = x - np.average(x, weights=weights)
    spread = (weights * offsets**2).sum() + _PRIOR_SCATTER
    leverages = robust * (1 / weights.sum() + offsets**2 / spread)
    left_out = residuals / (1 - np.minimum(leverages, _LARGEST_LEVERAGE))
    squares = (repeats * left_out**2).sum() + _PRIOR_CASES * _PRIOR_ERROR**2
    error = float(np.sqrt(squares / (cases + _PRIOR_CASES)))
    return DiceLine(intercept, slope, min(1.0, error))


def _weighted_line(
    x: NDArray[np.float64], y: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[float, float]:
    """Return intercept and slope of the weighted line of least squares, the slope drawn to 1."""
    x_mean, y_mean = np.average(x, weights=weights), np.average(y, weights=weights)
    together = (weights * (x - x_mean) * (y - y_mean)).sum() + _PRIOR_SCATTER * _PRIOR_SLOPE
    slope = max(0.0, together / ((weights * (x - x_mean) ** 2).sum() + _PRIOR_SCATTER))
    return float(y_mean - slope * x_mean), float(slope)


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) >= weights.sum() / 2
    return float(values[order][int(reached.argmax())])
