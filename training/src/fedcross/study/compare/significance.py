"""The spread of a figure over the seeds, and a paired test between methods."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy import stats


@dataclass(frozen=True)
class Spread:
    """A figure over the seeds: its mean and sample standard deviation (None with one seed)."""

    mean: float
    deviation: float | None


def over_seeds(values: Sequence[float]) -> Spread:
    """Return mean and sample standard deviation (n - 1) of one value per seed; at least one value."""
    return Spread(fmean(values), stdev(values) if len(values) > 1 else None)


@dataclass(frozen=True)
class PairedTest:
    """Wilcoxon's signed-rank test between two methods on the same cases.

    Attributes
    ----------
    cases
        Number of pairs.
    difference
        Mean of the method's values minus those of the reference.
    p
        Two-sided p value; None if no case differs.
    """

    cases: int
    difference: float
    p: float | None


def paired_test(
    values: Mapping[tuple[str, str], float], reference: Mapping[tuple[str, str], float]
) -> PairedTest:
    """Compare two methods case by case (Wilcoxon, Biometrics Bulletin 1945).

    The sample is the cases, with means over the seeds: two seeds on one case are not independent.

    Raises
    ------
    ValueError
        If the cases differ or there are none.
    """
    if values.keys() != reference.keys() or not values:
        raise ValueError(f"both need the same cases, got {len(values)} and {len(reference)}.")
    differences = [values[case] - reference[case] for case in sorted(values)]
    p = float(stats.wilcoxon(differences).pvalue) if any(differences) else None
    return PairedTest(len(differences), fmean(differences), p)


def holm(p_values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Holm's correction for testing several methods (Scandinavian Journal of Statistics 1979).

    The i-th smallest of m values is multiplied by m - i + 1. The result is at least that of the value
    before and at most 1. None stays None and is not counted.
    """
    ranked = sorted((p, name) for name, p in p_values.items() if p is not None)
    corrected: dict[str, float | None] = dict.fromkeys(p_values)
    least = 0.0
    for rank, (p, name) in enumerate(ranked):
        least = max(least, min(1.0, p * (len(ranked) - rank)))
        corrected[name] = least
    return corrected
