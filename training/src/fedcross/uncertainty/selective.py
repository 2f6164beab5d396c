"""How well a confidence ranks cases by their risk: the risk-coverage curve and its area."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats


@dataclass(frozen=True)
class RiskCoverage:
    """The risk of the cases that are kept, depending on how many are kept.

    Attributes
    ----------
    coverage
        Share of the cases that are kept, i / n for i = 1 ... n.
    risk
        Mean risk of the i cases with the highest confidence.
    aurc
        Area under the curve: the mean of `risk`. Source: Geifman and El-Yaniv, "Selective
        classification for deep neural networks", NeurIPS 2017.
    excess_aurc
        `aurc` minus the area of the best possible order, by the risk itself; 0 is perfect. Source:
        Geifman, Uziel and El-Yaniv, "Bias-reduced uncertainty estimation for deep neural classifiers",
        ICLR 2019.
    random_aurc
        The expected area of a random order: the mean risk.
    """

    coverage: tuple[float, ...]
    risk: tuple[float, ...]
    aurc: float
    excess_aurc: float
    random_aurc: float


def risk_coverage(confidence: Sequence[float], risk: Sequence[float]) -> RiskCoverage | None:
    """Return the risk-coverage curve of some cases.

    Cases with equal confidence are kept in a random order, and the expected risk is given. For the use
    with segmentations see Jaeger et al., "A call to reflect on evaluation practices for failure
    detection in image classification", ICLR 2023; Zenk et al., "Comparative benchmarking of failure
    detection methods in medical image segmentation", 2024.

    Parameters
    ----------
    confidence
        Confidence of each case; a higher one means more certain.
    risk
        Risk of each case, for example 1 - Dice.

    Returns
    -------
    RiskCoverage or None
        None without cases.

    Raises
    ------
    ValueError
        If the lengths differ or a number is not finite.
    """
    confidences, risks = _checked(confidence, risk)
    if len(risks) == 0:
        return None
    _, group = np.unique(-confidences, return_inverse=True)  # the highest confidence is group 0
    expected = (np.bincount(group, weights=risks) / np.bincount(group))[group]
    curve = _mean_of_first(expected[np.argsort(group, kind="stable")])
    best = _mean_of_first(np.sort(risks))
    count = len(risks)
    return RiskCoverage(
        coverage=tuple((index + 1) / count for index in range(count)),
        risk=tuple(curve.tolist()),
        aurc=float(curve.mean()),
        excess_aurc=float(curve.mean() - best.mean()),
        random_aurc=float(risks.mean()),
    )


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation of two figures of the same cases, -1 to 1.

    None with fewer than three cases, or if one of the figures is the same in all cases. Source:
    Spearman, "The proof and measurement of association between two things", 1904.

    Raises
    ------
    ValueError
        If the lengths differ or a number is not finite.
    """
    first, second = _checked(one, other)
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(stats.spearmanr(first, second).statistic)


def _checked(
    one: Sequence[float], other: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, second = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"There must be as many of each, got {first.shape} and {second.shape}.")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("Every number must be finite.")
    return first, second


def _mean_of_first(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means of the first 1, 2 ... n values."""
    return np.asarray(np.cumsum(values) / np.arange(1, len(values) + 1))
