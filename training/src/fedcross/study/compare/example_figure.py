"""The figure of a test case as every method segments it, as SVG text."""

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fedcross.study.compare.example import DRAWN, Example
from fedcross.study.compare.figures import STYLE, as_svg, colour

COLUMNS = 4
SIDE_INCHES = 2.2
DRAWN_COLOUR = "white"


@mpl.rc_context(STYLE)
def draw_methods(example: Example) -> str:
    """Draw the slice once per method, with the drawn outline in white and the method's in colour."""
    drawn = example.pictures[DRAWN]
    methods = [label for label in example.pictures if label != DRAWN]
    rows = -(-len(methods) // COLUMNS)
    columns = min(COLUMNS, len(methods))
    height, width = drawn.image.shape
    side = SIDE_INCHES * min(1.6, drawn.aspect * height / width)
    figure = Figure(figsize=(SIDE_INCHES * columns, (side + 0.35) * rows))
    for place, label in enumerate(methods):
        axes = figure.add_subplot(rows, columns, place + 1)
        picture = example.pictures[label]
        axes.imshow(picture.image, cmap="gray", vmin=0, vmax=1, aspect=picture.aspect)
        _outline(axes, drawn.label, DRAWN_COLOUR)
        _outline(axes, picture.label, None)
        axes.set_title(f"{label}\nDice {example.dices[label]:.3f}", fontsize=8)
        axes.axis("off")
    figure.subplots_adjust(0, 0, 1, 0.9, wspace=0.04, hspace=0.3)
    return as_svg(figure)


def _outline(axes: Axes, labels: NDArray[np.uint8], colour_of_all: str | None) -> None:
    """Draw the outline of every structure; in the colour of its label if no colour is given."""
    for value in np.unique(labels[labels > 0]):
        shade = colour_of_all or colour(int(value))
        axes.contour(labels == value, levels=[0.5], colors=shade, linewidths=1.0)
