"""The figures of a result: volumes and agreement of each structure, and a verdict on each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from fedcross.contract.verdict import Thresholds as Thresholds
from fedcross.contract.verdict import Verdict as Verdict
from fedcross.contract.verdict import judge
from FedCrossSlicerLib.bundle.result import StructureFigures
from FedCrossSlicerLib.csv_file import writeCSV
from FedCrossSlicerLib.scene.tables import newTable, plainText, readColumn

if TYPE_CHECKING:
    from slicer import vtkMRMLSegmentationNode, vtkMRMLTableNode

Color = tuple[float, float, float]
_AGREEMENT = "agreement_dice"
_GREY = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Figure(StructureFigures):
    """The figures of one structure, with the colour of its segment.

    Attributes
    ----------
    color
        Red, green, blue; each 0 to 1.
    """

    color: Color


def verdict(figure: StructureFigures, thresholds: Thresholds | None = None) -> Verdict:
    """Return the verdict on a structure; see `fedcross.contract.verdict.judge`."""
    return judge(figure.volume, figure.low, figure.high, figure.agreement, thresholds=thresholds)


def verdictLabel(verdict: Verdict) -> str:
    """Return a verdict as the panel shows it."""
    return {
        Verdict.AGREE: _("members agree"),
        Verdict.LOOK: _("look at it"),
        Verdict.DISTRUST: _("do not trust"),
        Verdict.ABSENT: _("not found"),
    }[verdict]


def newFigures(
    name: str, structures: Sequence[StructureFigures], segmentation: vtkMRMLSegmentationNode
) -> vtkMRMLTableNode:
    """Return a new table node with one row for each structure.

    Parameters
    ----------
    name
        The node's name.
    structures
        The figures.
    segmentation
        The segmentation node whose segments have the structures' names; the table gets their colours.
    """
    colors = [_segmentColor(segmentation, structure.name) for structure in structures]
    columns: dict[str, list[Any]] = {
        "structure": [structure.name for structure in structures],
        "red": [color[0] for color in colors],
        "green": [color[1] for color in colors],
        "blue": [color[2] for color in colors],
        "volume_ml": [structure.volume for structure in structures],
        "mean_ml": [structure.mean for structure in structures],
        "min_ml": [structure.low for structure in structures],
        "max_ml": [structure.high for structure in structures],
    }
    # A column cannot hold None.
    columns[_AGREEMENT] = [
        math.nan if structure.agreement is None else structure.agreement for structure in structures
    ]
    return newTable(name, columns)


def readFigures(table: vtkMRMLTableNode | None) -> list[Figure]:
    """Return the rows of a table of figures, in its order; an empty list for None."""
    if table is None:
        return []
    columns = [
        readColumn(table, title)
        for title in ("structure", "volume_ml", "mean_ml", "min_ml", "max_ml")
    ]
    # A scene of an earlier version has no such column for a bundle with one member.
    values = readColumn(table, _AGREEMENT) or [math.nan] * len(columns[0])
    agreements = [None if math.isnan(value) else value for value in values]
    colors = zip(*(readColumn(table, channel) for channel in ("red", "green", "blue")), strict=True)
    return [Figure(*row) for row in zip(*columns, agreements, colors, strict=True)]


def asText(figures: Sequence[Figure], thresholds: Thresholds | None = None) -> str:
    """Return a header and one line for each structure, separated by tabs, to paste elsewhere."""
    header = (
        _("Structure"),
        _("Volume (mL)"),
        _("Members, mean (mL)"),
        _("Members, smallest (mL)"),
        _("Members, largest (mL)"),
        _("Agreement (Dice)"),
        _("Verdict"),
    )
    rows = [header, *((*_cells(each), verdictLabel(verdict(each, thresholds))) for each in figures)]
    return "\n".join("\t".join(plainText(cell) for cell in row) for row in rows) + "\n"


def writeFigures(figures: Sequence[Figure], thresholds: Thresholds | None, path: Path) -> None:
    """Write the figures and verdicts to a CSV file for programs.

    Raises
    ------
    InferenceError
        If the file cannot be written.
    """
    header = (
        "structure",
        "volume_ml",
        "members_mean_ml",
        "members_min_ml",
        "members_max_ml",
        "mean_dice",
        "verdict",
    )
    rows = [(*_cells(figure), verdict(figure, thresholds).value) for figure in figures]
    writeCSV([header, *rows], path)


def _cells(figure: Figure) -> tuple[str, ...]:
    return (
        figure.name,
        f"{figure.volume:.2f}",
        f"{figure.mean:.2f}",
        f"{figure.low:.2f}",
        f"{figure.high:.2f}",
        "" if figure.agreement is None else f"{figure.agreement:.3f}",
    )


def _segmentColor(segmentation: vtkMRMLSegmentationNode, name: str) -> Color:
    """The colour of the segment of this name; Slicer's default grey if there is none."""
    segments = segmentation.GetSegmentation()
    segment = segments.GetSegment(segments.GetSegmentIdBySegmentName(name))
    if segment is None:
        return _GREY
    red, green, blue = segment.GetColor()
    return (red, green, blue)
