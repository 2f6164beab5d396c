"""The hot spots of a result: their table, their states in the review, and the marker."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from FedCrossSlicerLib.bundle.result import HotSpotFigures
from FedCrossSlicerLib.scene.roles import PREFIX
from FedCrossSlicerLib.scene.tables import newTable, readRows

if TYPE_CHECKING:
    from slicer import vtkMRMLMarkupsFiducialNode, vtkMRMLTableNode

_CURRENT = PREFIX + "Current"
"""Attribute of the marker: index of the current hot spot."""
_STATE = "state"
"""Title of the table's column of states."""
_COLUMNS: dict[str, Callable[[Any], Any]] = {
    "rank": int,
    "structure": str,
    **dict.fromkeys(("volume_ml", "peak", "R", "A", "S"), float),
    _STATE: str,
}
"""The columns that a review needs, and what their values are."""
Position = tuple[float, float, float]


class State(enum.Enum):
    """The state of a hot spot in the review; the values are stored in the table."""

    OPEN = "open"
    REVIEWED = "reviewed"
    CORRECTED = "corrected"

    def label(self) -> str:
        """Return the state as the panel shows it."""
        return {
            State.OPEN: _("open"),
            State.REVIEWED: _("reviewed"),
            State.CORRECTED: _("corrected"),
        }[self]


@dataclass(frozen=True)
class HotSpot:
    """One hot spot: a region in which the members disagree most.

    Attributes
    ----------
    rank
        1 is the most uncertain.
    structure
        Name of the nearest structure; ``""`` if no structure was found.
    volume
        Size in mL.
    peak
        Largest uncertainty, in the unit of the measure.
    position
        Centre (R, A, S) in mm: in the table where it was computed, in a `Review` where it is now.
    state
        State in the review.
    """

    rank: int
    structure: str
    volume: float
    peak: float
    position: Position
    state: State

    @property
    def label(self) -> str:
        """The text beside the marker, such as "2: Prostate"."""
        return f"{self.rank}: {self.structure}" if self.structure else str(self.rank)


def newHotSpots(name: str, spots: Sequence[HotSpotFigures]) -> vtkMRMLTableNode:
    """Return a new table node with one row for each hot spot; the state of each is open."""
    points = [(-spot.centre[0], -spot.centre[1], spot.centre[2]) for spot in spots]  # LPS -> RAS
    return newTable(
        name,
        {
            "rank": [spot.rank for spot in spots],
            "structure": [spot.structure for spot in spots],
            "volume_ml": [spot.volume for spot in spots],
            "peak": [spot.peak for spot in spots],
            "mean": [spot.mean for spot in spots],
            "R": [point[0] for point in points],
            "A": [point[1] for point in points],
            "S": [point[2] for point in points],
            _STATE: [State.OPEN.value for _spot in spots],
        },
    )


def newMarker(name: str) -> vtkMRMLMarkupsFiducialNode:
    """Return a new markups node without a point; it is hidden until the review goes to a hot spot."""
    marker = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    marker.CreateDefaultDisplayNodes()
    display = marker.GetDisplayNode()
    display.SetVisibility(False)
    display.SetColor(1.0, 1.0, 1.0)
    display.SetSelectedColor(1.0, 1.0, 1.0)
    marker.SetLocked(True)
    return marker


def readHotSpots(table: vtkMRMLTableNode | None) -> list[HotSpot]:
    """Return the hot spots of a table, the most uncertain first; an empty list for None.

    The list is empty, too, if the user has removed a column.
    """
    if table is None:
        return []
    known = {state.value: state for state in State}
    return [
        HotSpot(
            rank, structure, volume, peak, (right, anterior, superior), known.get(state, State.OPEN)
        )
        for rank, structure, volume, peak, right, anterior, superior, state in readRows(
            table, _COLUMNS
        )
        if rank > 0  # the user may have added an empty row
    ]


def writeState(table: vtkMRMLTableNode, index: int, state: State) -> None:
    """Store the state of the hot spot at `index`, counted from 0."""
    table.GetTable().GetColumnByName(_STATE).SetValue(index, state.value)
    table.GetTable().Modified()
    table.Modified()


def currentIndex(marker: vtkMRMLMarkupsFiducialNode | None) -> int | None:
    """Return the index of the hot spot at which the marker is, from 0; None before the first."""
    index = marker.GetAttribute(_CURRENT) if marker is not None else None
    return int(index) if index else None


def moveMarker(marker: vtkMRMLMarkupsFiducialNode | None, index: int, spot: HotSpot) -> None:
    """Move the marker to a hot spot and show it; nothing happens if the user has deleted it."""
    if marker is None:
        return
    marker.SetAttribute(_CURRENT, str(index))
    if marker.GetNumberOfControlPoints() == 0:
        marker.AddControlPointWorld(*spot.position)
    marker.SetNthControlPointPositionWorld(0, *spot.position)
    marker.SetNthControlPointLabel(0, spot.label)
    marker.GetDisplayNode().SetVisibility(True)
