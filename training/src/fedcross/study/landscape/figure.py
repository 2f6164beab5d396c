"""The figure of a landscape: the loss on the plane, over all sites and at each, and along the lines."""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fedcross.study.compare.figures import STYLE, as_svg, colour

LEVELS = 24
SHOWN_SITES = 3


@mpl.rc_context(STYLE)
def draw(numbers: Mapping[str, Any]) -> str:
    """Draw the measurements of `landscape` as SVG.

    On the plane, every model has a mark at its nearest point. A filled mark lies in the plane. A hollow
    mark lies outside it, so the colour under it is not the loss of that model; the legend has the loss.
    """
    plane = numbers["plane"]
    columns = 1 + min(SHOWN_SITES, len(plane["loss"]) - 1)
    figure = Figure(figsize=(3.6 * columns, 7.4), layout="constrained")
    axes = figure.subplots(2, columns, squeeze=False)
    for place, name in enumerate(list(plane["loss"])[:columns]):
        title = "loss over all sites" if name == "mean" else f"loss at {name}"
        _plane(axes[0][place], plane, name, numbers["models"], title)
    # The last line leads from the average to a cross-trained model and is always shown.
    lines = [*numbers["lines"][: columns - 1], numbers["lines"][-1]]
    for place, line in enumerate(lines):
        _line(axes[1][place], line)
    for spare in axes[1][len(lines) :]:
        spare.set_axis_off()
    axes[1][0].legend(frameon=False)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return as_svg(figure)


def _plane(
    axes: Axes, plane: Mapping[str, Any], site: str, models: Mapping[str, Any], title: str
) -> None:
    losses = np.array(plane["loss"][site])  # (y, x)
    # Losses rise steeply far from the models; the colours are for the low losses.
    top = np.quantile(losses, 0.9)
    levels = np.linspace(losses.min(), max(top, losses.min() + 1e-9), LEVELS)
    filled = axes.contourf(plane["x"], plane["y"], losses, levels, cmap="viridis", extend="max")
    axes.figure.colorbar(filled, ax=axes, shrink=0.8)
    for index, (name, model) in enumerate(models.items()):
        inside = model["off"] <= 1e-6 * (1 + model["from_average"])
        axes.plot(
            model["x"],
            model["y"],
            marker=_marker(name),
            linestyle="none",
            markersize=8,
            color=colour(index),
            markerfacecolor=colour(index) if inside else "none",
            markeredgecolor="white" if inside else colour(index),
            markeredgewidth=0.8 if inside else 1.8,
            label=f"{name}: {model['loss']['mean']:.3f}",
        )
    axes.set(title=title, aspect="equal")
    axes.grid(visible=False)


def _line(axes: Axes, line: Mapping[str, Any]) -> None:
    for index, (site, losses) in enumerate(line["loss"].items()):
        is_mean = site == "mean"
        axes.plot(
            line["share"],
            losses,
            color="#222" if is_mean else colour(index),
            linewidth=2.0 if is_mean else 1.0,
            label="all sites" if is_mean else site,
        )
    axes.set(
        title=f"{line['from']}\nto {line['to']}", xlabel="share of the distance", ylabel="loss"
    )


def _marker(name: str) -> str:
    return {"local": "o", "cross": "*", "avera": "X"}.get(name[:5], "s")
