"""A figure of one site's data: a few slices, and its intensities compared with the other sites'."""

from collections.abc import Iterable, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from fedcross.study.compare.figures import STYLE, as_svg, colour
from fedcross.training.data.check.patches import SitePatches
from fedcross.training.data.check.report import (
    HISTOGRAM_EDGES,
    PICTURES,
    CaseReport,
    Picture,
    SiteReport,
)

SIDE_INCHES = 1.5


def site_figure(
    site: SiteReport, others: Sequence[SiteReport], structures: Sequence[str] = ()
) -> str:
    """Draw slices with the labels' outlines and the distribution of intensities; return SVG text.

    Parameters
    ----------
    site
        The site to show; the cases with a picture are shown.
    others
        The other sites, whose mean distribution is drawn in grey.
    structures
        Names of the structures in the order of their labels; a legend is drawn if there are several.
    """
    with mpl.rc_context(STYLE):
        pictures = PICTURES if any(case.picture is not None for case in site.cases) else 1
        figure = Figure(figsize=(SIDE_INCHES * (pictures + 2), SIDE_INCHES * 1.25))
        draw_site(figure, site, others)
        if len(structures) > 1:
            _draw_legend(figure, structures)
        return as_svg(figure)


def draw_site(figure: FigureBase, site: SiteReport, others: Sequence[SiteReport]) -> None:
    """Draw slices and intensities into an existing figure or subfigure, without a legend.

    The intensities fill the figure if no label map of the site could be used.
    """
    shown = [case for case in site.cases if case.picture is not None]
    if not shown:
        _draw_intensities(figure.add_subplot(), site, others)
        return
    grid = figure.add_gridspec(1, PICTURES + 2, wspace=0.08)
    for place, case in enumerate(shown):
        if case.picture is not None:
            _draw_slice(figure.add_subplot(grid[place]), case.name, case.picture)
    _draw_intensities(figure.add_subplot(grid[PICTURES:]), site, others)


def patches_figure(patches: Sequence[SitePatches]) -> str:
    """Draw the patches of every site in a row; return SVG text."""
    columns = max(len(site.pictures) for site in patches)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(SIDE_INCHES * columns, SIDE_INCHES * 1.2 * len(patches)))
        for row, site in enumerate(patches):
            for column, picture in enumerate(site.pictures):
                axes = figure.add_subplot(len(patches), columns, row * columns + column + 1)
                _draw_slice(axes, site.site if column == 0 else "", picture)
        figure.subplots_adjust(0, 0, 1, 0.95, wspace=0.05, hspace=0.15)
        return as_svg(figure)


def _draw_slice(axes: Axes, name: str, picture: Picture) -> None:
    axes.imshow(picture.image, cmap="gray", vmin=0, vmax=1, aspect=picture.aspect)
    for value in np.unique(picture.label[picture.label > 0]):
        mask = picture.label == value
        if min(mask.shape) > 1:
            axes.contour(mask, levels=[0.5], colors=colour(int(value)), linewidths=0.8)
    axes.set_title(name if len(name) <= 18 else f"{name[:17]}…", fontsize=7)
    axes.axis("off")


def _draw_legend(figure: Figure, structures: Sequence[str]) -> None:
    lines = [
        Line2D([], [], color=colour(label), label=name)
        for label, name in enumerate(structures, start=1)
    ]
    figure.legend(
        handles=lines,
        loc="upper left",
        bbox_to_anchor=(0.1, 0.08),
        ncol=PICTURES,
        frameon=False,
        fontsize=7,
    )


def _draw_intensities(axes: Axes, site: SiteReport, others: Sequence[SiteReport]) -> None:
    """Draw the share of voxels by normalised intensity, as the networks receive it."""
    centres = (HISTOGRAM_EDGES[:-1] + HISTOGRAM_EDGES[1:]) / 2
    other_shares = _mean(case for other in others for case in other.cases)
    if other_shares is not None:
        axes.fill_between(centres, other_shares, color="#c8c8c8", linewidth=0, label="other sites")
    own_shares = _mean(site.cases)
    if own_shares is not None:
        axes.plot(centres, own_shares, color=colour(0), linewidth=1.5, label=site.name)
    axes.set_xlabel("normalised intensity")
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.legend(frameon=False, fontsize=7, loc="upper right")


def _mean(cases: Iterable[CaseReport]) -> NDArray[np.float64] | None:
    """The cases' mean histogram, (64,); None if no case has one."""
    shares = [case.histogram for case in cases if case.histogram is not None]
    return np.asarray(np.mean(shares, axis=0)) if shares else None
