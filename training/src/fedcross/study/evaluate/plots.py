"""The figures of an evaluation's page, as SVG text."""

from collections.abc import Mapping

import matplotlib as mpl
from matplotlib.ticker import MaxNLocator

from fedcross.study.compare.figures import STYLE, as_svg, canvas, colour
from fedcross.study.evaluate.evaluation import Evaluation, ReviewEvaluation, StructureEvaluation

MIN_VOXELS = 20
"""Bins with fewer voxels are left out of the reliability curve."""
LIST_TITLES = {
    "ranked": "the list of hot spots",
    "random": "at random on the border",
    "limit": "most errors first",
}


@mpl.rc_context(STYLE)
def reliability(structures: Mapping[str, StructureEvaluation]) -> str:
    """Draw the share of each structure over its mean probability, near the structures."""
    figure, axes = canvas(5.0, 3.6)
    axes.plot([0, 1], [0, 1], color="#888888", linewidth=0.8)
    for index, (name, each) in enumerate(structures.items()):
        curve = [(p, share) for p, share, n in each.calibration["band"].curve if n >= MIN_VOXELS]
        axes.plot(*_columns(curve), "o-", markersize=3, color=colour(index), label=name)
    axes.set(xlabel="mean probability of the members", ylabel="share of voxels in the structure")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return as_svg(figure)


@mpl.rc_context(STYLE)
def risk_coverage(structures: Mapping[str, StructureEvaluation]) -> str | None:
    """Draw the mean of 1 - Dice over the share of kept cases; None without any confidence."""
    figure, axes = canvas(5.0, 3.6)
    drawn = False
    for index, (name, each) in enumerate(structures.items()):
        for line, (label, ranking) in zip(("-", "--"), each.rankings.items(), strict=False):
            axes.plot(
                ranking.coverage,
                ranking.risk,
                line,
                marker=".",
                color=colour(index),
                label=f"{name}, {label}",
            )
            drawn = True
    axes.set(xlabel="share of cases that are kept", ylabel="mean of 1 - Dice")
    axes.set(xlim=(0, 1.02), ylim=(0, None))
    if not drawn:
        return None
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return as_svg(figure)


@mpl.rc_context(STYLE)
def agreement(evaluation: Evaluation) -> str | None:
    """Draw the Dice over the agreement, a dot per case; None for a single member."""
    figure, axes = canvas(5.0, 3.6)
    drawn = False
    for index, name in enumerate(evaluation.structures):
        points = [
            (found.agreement, found.ensemble.dice)
            for case in evaluation.cases
            if (found := case.structures.get(name)) is not None and found.agreement is not None
        ]
        axes.plot(*_columns(points), ".", color=colour(index), label=name)
        drawn = drawn or bool(points)
    axes.plot([0, 1], [0, 1], color="#888888", linewidth=0.8)
    axes.set(xlabel="agreement: mean Dice of the pairs of members", ylabel="Dice", ylim=(0, 1.02))
    if not drawn:
        return None
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return as_svg(figure)


@mpl.rc_context(STYLE)
def review(found: ReviewEvaluation, metric: str, ylabel: str) -> str:
    """Draw a metric, ``dice`` or ``error_ml``, over the number of corrected places."""
    figure, axes = canvas(5.0, 3.4)
    for index, (name, title) in enumerate(LIST_TITLES.items()):
        values = getattr(getattr(found, name), metric)
        axes.plot(range(len(values)), values, ".-", color=colour(index), label=title)
    axes.set(xlabel="corrected places", ylabel=ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return as_svg(figure)


def _columns(points: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]
