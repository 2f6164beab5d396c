"""Spread over seeds, and a paired test between methods."""

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
    """Mean and sample standard deviation (n - 1) of one value per seed."""
    return Spread(fmean(values), stdev(values) if len(values) > 1 else None)


@dataclass(frozen=True)
class PairedTest:
    """Wilcoxon's signed-rank test between two methods on the same cases.

    Attributes
    ----------
    cases
        Pairs.
    difference
        Mean of ours minus the reference's.
    p
        Two-sided; None when no case differs, so that there is nothing to test.
    """

    cases: int
    difference: float
    p: float | None


def paired_test(
    ours: Mapping[tuple[str, str], float], reference: Mapping[tuple[str, str], float]
) -> PairedTest:
    """Compare two methods case by case (Wilcoxon, Biometrics Bulletin 1945).

    The cases are the sample: means over the seeds, for seeds on one case are no independent cases.

    Raises
    ------
    ValueError
        If the cases differ or there are none.
    """
    if ours.keys() != reference.keys() or not ours:
        raise ValueError(f"both need the same cases, got {len(ours)} and {len(reference)}.")
    differences = [ours[case] - reference[case] for case in sorted(ours)]
    p = float(stats.wilcoxon(differences).pvalue) if any(differences) else None
    return PairedTest(len(differences), fmean(differences), p)


def holm(p_values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Holm's correction for testing several methods (Scandinavian Journal of Statistics 1979).

    The i-th smallest of m values is multiplied by m - i + 1 and is at least as large as the one
    before, at most 1; None stays None and does not count.
    """
    ranked = sorted((p, name) for name, p in p_values.items() if p is not None)
    corrected: dict[str, float | None] = dict.fromkeys(p_values)
    least = 0.0
    for rank, (p, name) in enumerate(ranked):
        least = max(least, min(1.0, p * (len(ranked) - rank)))
        corrected[name] = least
    return corrected
