"""The figures of a comparison, as SVG text."""

import io
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from fedcross.study.compare.results import AS_ENSEMBLE, RunFigures, by_case
from fedcross.uncertainty.reliability import EDGES, error_rates

# Colours of Okabe and Ito, which colour-blind people can distinguish. After them the colours repeat with
# other lines, markers and hatches.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES, MARKERS, HATCHES = ("-", "--", ":"), ("o", "s", "^"), ("", "///", "...")
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "axes.axisbelow": True,
    "svg.hashsalt": "fedcross",  # equal figures give equal files
    "svg.fonttype": "none",
    "text.parse_math": False,  # a site may have a dollar in its name
}

Runs = Mapping[str, Sequence[RunFigures]]  # runs of each method, one per seed, by its label


def colour(index: int) -> str:
    """Return the colour of the method with this index."""
    return COLOURS[index % len(COLOURS)]


def kind(index: int) -> int:
    """Return how often the colours were used up before the method with this index; 0 to 2."""
    return index // len(COLOURS) % len(LINES)


def as_svg(figure: Figure) -> str:
    """Return a figure as an ``<svg>`` element, without date and XML declaration."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """Return an empty figure of a size in inches."""
    figure = Figure(figsize=(width, height))
    return figure, figure.subplots()


@mpl.rc_context(STYLE)
def training_curves(runs: Runs) -> str | None:
    """Draw the validation Dice over the share of the budget; None if nothing was validated.

    Each seed has a thin line, and their mean a thick one.
    """
    figure, axes = canvas(7.5, 3.6)
    drawn = False
    for index, (label, seeds) in enumerate(runs.items()):
        for run in seeds:
            axes.plot(*_columns(run.curve), color=colour(index), linewidth=0.6, alpha=0.45)
        places = sorted(set.intersection(*({share for share, _ in run.curve} for run in seeds)))
        means = [fmean(dict(run.curve)[place] for run in seeds) for place in places]
        axes.plot(
            places,
            means,
            LINES[kind(index)],
            marker=MARKERS[kind(index)],
            markersize=3.5,
            color=colour(index),
            linewidth=1.8,
            label=label,
        )
        drawn = drawn or bool(places)
    axes.set(xlabel="share of the budget", ylabel="validation Dice", xlim=(0, 1.02))
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return as_svg(figure) if drawn else None


@mpl.rc_context(STYLE)
def box_plots(cases: Mapping[str, Mapping[Any, float]], ylabel: str) -> str:
    """Draw one box per method, with every case as a dot.

    A box has the quartiles; its whiskers reach to 1.5 times their distance.

    Parameters
    ----------
    cases
        Value of each case, by the method's label.
    ylabel
        Name of the metric.
    """
    figure, axes = canvas(max(4.0, 1.0 + 0.75 * len(cases)), 3.4)
    values = [list(each.values()) for each in cases.values()]
    places = range(1, len(values) + 1)
    boxes = axes.boxplot(values, positions=places, widths=0.55, showfliers=False, patch_artist=True)
    for index, (box, median) in enumerate(zip(boxes["boxes"], boxes["medians"], strict=True)):
        box.set(facecolor=to_rgba(colour(index), 0.35), edgecolor=colour(index))
        box.set_hatch(HATCHES[kind(index)])
        median.set(color=colour(index), linewidth=1.8)
    for index, (place, each) in enumerate(zip(places, values, strict=True)):
        steps = [0.0] if len(each) == 1 else [n / (len(each) - 1) - 0.5 for n in range(len(each))]
        shifted = [place + 0.3 * step for step in steps]
        axes.plot(shifted, each, ".", color=colour(index), markersize=4, alpha=0.8)
    axes.set_xticks(list(places), list(cases), rotation=25, ha="right")
    axes.set_ylabel(ylabel)
    axes.grid(visible=False, axis="x")
    return as_svg(figure)


@mpl.rc_context(STYLE)
def reliability(runs: Runs) -> str | None:
    """Draw the error rate of the voxels in each bin of the spread; None without any ensemble."""
    figure, axes = canvas(5.5, 3.4)
    centres = [(low + high) / 2 for low, high in pairwise(EDGES)]
    drawn = False
    for index, (label, seeds) in enumerate(runs.items()):
        rate = error_rates(record for run in seeds for record in run.reliability)
        known = [(x, y) for x, y in zip(centres, rate, strict=True) if y is not None]
        if known:
            is_personal = label + AS_ENSEMBLE in seeds[0].scores
            name = label + AS_ENSEMBLE if is_personal else label
            style = f"{MARKERS[kind(index)]}{LINES[kind(index)]}"
            axes.plot(*_columns(known), style, color=colour(index), markersize=3.5, label=name)
            drawn = True
    axes.set(xlabel="standard deviation between members", ylabel="share of voxels that are wrong")
    axes.set(xlim=(0, 0.5), ylim=(0, None))
    if drawn:
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return as_svg(figure) if drawn else None


def case_values(runs: Runs, metric: str) -> dict[str, dict[tuple[str, str], float]]:
    """Return the values for `box_plots`: those of each method's cases, means over the seeds."""
    return {
        label: by_case([run.scores[label] for run in seeds], metric)
        for label, seeds in runs.items()
    }


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]
