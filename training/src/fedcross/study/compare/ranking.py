"""The methods of a comparison by their test Dice, in words."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from fedcross.study.compare.results import RunFigures, mean_of
from fedcross.study.compare.variants import Variant


def describe_ranking(
    variants: Sequence[Variant], runs: Mapping[str, Sequence[RunFigures]], folder: Path
) -> list[str]:
    """Return the mean test Dice of each method, the highest first, and the command that exports it.

    Parameters
    ----------
    variants
        The methods.
    runs
        The runs of each method by its label, at least one.
    folder
        Folder of the runs.

    Returns
    -------
    list of str
        Empty without test cases.
    """
    if not all(run.scores[label] for label, each in runs.items() for run in each):
        return []
    means = {
        variant.label: fmean(
            mean_of(run.scores[variant.label], "dice") for run in runs[variant.label]
        )
        for variant in variants
    }
    ranked = sorted(variants, key=lambda variant: -means[variant.label])
    shown = ", ".join(f"{variant.label} {means[variant.label]:.3f}" for variant in ranked)
    first = ranked[0]
    run = folder / first.slug / f"seed-{runs[first.label][0].seed}"
    return [
        f"Test Dice, the highest first: {shown}. The page says which differences are more than chance.",
        f"Next: {shlex.join(['fedcross', 'export', str(run), 'BUNDLE'])}",
    ]
