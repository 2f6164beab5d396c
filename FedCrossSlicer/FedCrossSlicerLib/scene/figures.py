"""The figures of a result: volumes and agreement of each structure, and a verdict on each."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fedcross.contract.figures import StructureFigures, VolumeInterval
from fedcross.contract.parse import parse_json
from fedcross.contract.verdict import PredictedDice, Verdict
from FedCrossSlicerLib.bundle.calibrated import familiarityOf
from FedCrossSlicerLib.bundle.result import Familiarity
from FedCrossSlicerLib.scene.roles import PREFIX
from FedCrossSlicerLib.scene.tables import newTable, plainText, readRows

if TYPE_CHECKING:
    from slicer import vtkMRMLSegmentationNode, vtkMRMLTableNode

Color = tuple[float, float, float]
_AGREEMENT = "agreement_dice"
_INTERVAL = ("interval_low_ml", "interval_high_ml", "interval_coverage")
_PREDICTED = ("predicted_dice", "predicted_dice_error")
_VERDICT = "verdict"
_FAMILIARITY = PREFIX + "Familiarity"
"""Attribute of the table: the familiarity of the scan as JSON, with the fields of a summary."""
_GREY = (0.5, 0.5, 0.5)
_COLUMNS = {
    "structure": str,
    **dict.fromkeys(("volume_ml", "mean_ml", "min_ml", "max_ml", "red", "green", "blue"), float),
}
"""The columns that every table has, and what their values are."""


@dataclass(frozen=True)
class Figure(StructureFigures):
    """The figures of one structure, with the colour of its segment.

    Attributes
    ----------
    color
        Red, green, blue; each 0 to 1.
    """

    color: Color = _GREY


def newFigures(
    name: str, structures: Sequence[StructureFigures], segmentation: vtkMRMLSegmentationNode
) -> vtkMRMLTableNode:
    """Return a new table node with one row for each structure.

    Parameters
    ----------
    name
        The node's name.
    structures
        The figures. The table has the columns of intervals, predicted Dice and verdict only if a
        structure has them.
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
        _AGREEMENT: _numbers([structure.agreement for structure in structures]),
    }
    intervals = [structure.interval for structure in structures]
    if any(intervals):
        low, high, coverage = _INTERVAL
        columns[low] = _numbers([each.low if each else None for each in intervals])
        columns[high] = _numbers([each.high if each else None for each in intervals])
        columns[coverage] = _numbers([each.coverage if each else None for each in intervals])
    predictions = [structure.predicted for structure in structures]
    if any(predictions):
        dice, error = _PREDICTED
        columns[dice] = _numbers([each.dice if each else None for each in predictions])
        columns[error] = _numbers([each.error if each else None for each in predictions])
        columns[_VERDICT] = [structure.judged or "" for structure in structures]
    return newTable(name, columns)


def readFigures(table: vtkMRMLTableNode | None) -> list[Figure]:
    """Return the rows of a table of figures, in its order; an empty list for None.

    Figures that are missing, for instance because the user has edited the table, are None.
    """
    if table is None:
        return []
    rows = readRows(table, _COLUMNS)
    count = len(rows)
    # A scene of an earlier version has no agreement for a bundle with one member.
    agreements = [_orNone(value) for value in _column(table, _AGREEMENT, count)]
    intervals = [
        VolumeInterval(*row) if _orNone(row[0]) is not None else None
        for row in zip(*(_column(table, title, count) for title in _INTERVAL), strict=True)
    ]
    predictions = [
        PredictedDice(*row) if _orNone(row[0]) is not None else None
        for row in zip(*(_column(table, title, count) for title in _PREDICTED), strict=True)
    ]
    known = {each.value: each for each in Verdict}  # the scene's file may hold something else
    verdicts = [known.get(value) for (value,) in readRows(table, {_VERDICT: str})]
    judged = verdicts if len(verdicts) == count else [None] * count
    return [
        Figure(name, volume, mean, low, high, *further, color=(red, green, blue))
        for (name, volume, mean, low, high, red, green, blue), further in zip(
            rows, zip(agreements, intervals, predictions, judged, strict=True), strict=True
        )
    ]


def recordFamiliarity(table: vtkMRMLTableNode, familiarity: Familiarity | None) -> None:
    """Store the familiarity of the scan with the figures."""
    if familiarity is None:
        return
    entry = {
        "score": familiarity.score,
        "limit": familiarity.limit,
        "false_alarm_rate": familiarity.falseAlarmRate,
        "is_unusual": familiarity.isUnusual,
        "reasons": familiarity.reasons,
    }
    table.SetAttribute(_FAMILIARITY, json.dumps(entry))


def readFamiliarity(table: vtkMRMLTableNode | None) -> Familiarity | None:
    """Return the familiarity that `recordFamiliarity` stored; None if the table holds none."""
    text = table.GetAttribute(_FAMILIARITY) if table is not None else None
    try:
        return familiarityOf(parse_json(text)) if text else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # someone changed the scene's file


def _numbers(values: Sequence[float | None]) -> list[float]:
    """The values of a column, which cannot hold None: NaN stands for it."""
    return [math.nan if value is None else value for value in values]


def _column(table: vtkMRMLTableNode, title: str, count: int) -> list[float]:
    """The numbers of a column; `count` times NaN if the table does not have them."""
    numbers = [number for (number,) in readRows(table, {title: float})]
    return numbers if len(numbers) == count else [math.nan] * count


def _orNone(value: float) -> float | None:
    return None if math.isnan(value) else value


def _segmentColor(segmentation: vtkMRMLSegmentationNode, name: str) -> Color:
    """The colour of the segment of this name; Slicer's default grey if there is none."""
    segments = segmentation.GetSegmentation()
    for segmentID in segments.GetSegmentIDs():
        segment = segments.GetSegment(segmentID)
        if plainText(segment.GetName()) == plainText(name):
            red, green, blue = segment.GetColor()
            return (red, green, blue)
    return _GREY
