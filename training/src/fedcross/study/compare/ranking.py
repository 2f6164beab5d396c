"""The methods of a comparison by their test Dice, in words."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from fedcross.study.compare.results import RunFigures, rank_by_dice
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
    means = rank_by_dice(
        {label: [run.scores[label] for run in each] for label, each in runs.items()}
    )
    if not means:
        return []
    shown = ", ".join(f"{label} {mean:.3f}" for label, mean in means.items())
    best = next(iter(means))
    first = next(variant for variant in variants if variant.label == best)
    run = folder / first.slug / f"seed-{runs[first.label][0].seed}"
    return [
        f"Test Dice, the highest first: {shown}. The page says which differences are more than chance.",
        f"Next: {shlex.join(['fedcross', 'export', str(run), 'BUNDLE'])}",
    ]
