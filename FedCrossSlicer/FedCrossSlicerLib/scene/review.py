"""Going from one hot spot to the next, and noting what came of it.

The hot spots' table is the truth, so that the review goes on where it stopped when the scene is opened
again, on whatever computer.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from FedCrossSlicerLib.bundle.result import HotSpotFigures
from FedCrossSlicerLib.scene.nodes import PREFIX, ResultNodes
from FedCrossSlicerLib.scene.tables import column, newTable, plain

_CURRENT = PREFIX + "Current"
_STATE = "state"
Position = tuple[float, float, float]


class State(enum.Enum):
    """What came of a hot spot; the values stand in the table."""

    OPEN = "open"
    REVIEWED = "reviewed"
    CORRECTED = "corrected"

    def label(self) -> str:
        """Return it for the panel."""
        return {
            State.OPEN: _("open"),
            State.REVIEWED: _("reviewed"),
            State.CORRECTED: _("corrected"),
        }[self]


@dataclass(frozen=True)
class HotSpot:
    """One region to look at.

    Attributes
    ----------
    rank
        1 is the first to look at.
    structure
        Along which it lies; ``""`` when nothing was found.
    volume, peak
        Its size in mL, its largest uncertainty.
    position
        RAS mm.
    """

    rank: int
    structure: str
    volume: float
    peak: float
    position: Position
    state: State

    @property
    def label(self) -> str:
        """Return its name beside the marker, such as "2: Prostate"."""
        return f"{self.rank}: {self.structure}" if self.structure else str(self.rank)


class Review:
    """The review of one result.

    Parameters
    ----------
    nodes
        Whose hot spots.
    edit
        Opens an editor with segmentation, volume and segment ID; replaced where there is no Slicer.
    """

    def __init__(
        self, nodes: ResultNodes, edit: Callable[[Any, Any, str], None] | None = None
    ) -> None:
        self._nodes = nodes
        self._edit = edit or openSegmentEditor

    @property
    def spots(self) -> list[HotSpot]:
        """The hot spots, first to look at first; empty when the table was deleted."""
        table = self._nodes.hotSpots
        if table is None:
            return []
        numbers = (column(table, title) for title in ("rank", "structure", "volume_ml", "peak"))
        positions = zip(*(column(table, axis) for axis in "RAS"), strict=True)
        known = {state.value: state for state in State}
        states = (known.get(value, State.OPEN) for value in column(table, _STATE))
        return [HotSpot(*row) for row in zip(*numbers, positions, states, strict=True)]

    @property
    def current(self) -> int | None:
        """Index of the hot spot that was last gone to."""
        marker = self._nodes.marker
        noted = marker.GetAttribute(_CURRENT) if marker is not None else None
        return int(noted) if noted else None

    @property
    def progress(self) -> tuple[int, int]:
        """How many are no longer open, and how many there are."""
        states = [spot.state for spot in self.spots]
        return sum(state is not State.OPEN for state in states), len(states)

    def go(self, index: int) -> None:
        """Bring a hot spot into every slice view, and the marker to it."""
        spot = self.spots[index]
        for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
            _bringIntoView(node, spot.position)
        _mark(self._nodes.marker, index, spot)

    def next(self) -> None:
        """Go to the next one; from the last to the first."""
        self._step(1, 0)

    def previous(self) -> None:
        """Go to the one before; from the first to the last."""
        self._step(-1, -1)

    def mark(self, index: int, state: State) -> None:
        """Note what came of a hot spot."""
        table = self._nodes.hotSpots
        table.GetTable().GetColumnByName(_STATE).SetValue(index, state.value)
        table.GetTable().Modified()
        table.Modified()

    def editHere(self, index: int) -> None:
        """Go to a hot spot and open the editor on the structure along which it lies."""
        self.go(index)
        segmentation = self._nodes.segmentation
        self._edit(
            segmentation, self._nodes.volume, _segmentOf(segmentation, self.spots[index].structure)
        )

    def _step(self, by: int, start: int) -> None:
        count = len(self.spots)
        if count:
            current = self.current
            self.go((start if current is None else current + by) % count)


def newHotSpots(name: str, spots: "tuple[HotSpotFigures, ...]") -> Any:
    """Return a new table node with the hot spots, all open."""
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


def newMarker(name: str) -> Any:
    """Return a new markups node, hidden and without a point as long as nobody went to a hot spot."""
    marker = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    marker.CreateDefaultDisplayNodes()
    display = marker.GetDisplayNode()
    display.SetVisibility(False)
    display.SetColor(1.0, 1.0, 1.0)
    display.SetSelectedColor(1.0, 1.0, 1.0)
    marker.SetLocked(True)
    return marker


def openSegmentEditor(segmentation: Any, volume: Any, segmentID: str) -> None:
    """Switch to Segment Editor on a segment, with the volume to be segmented from."""
    slicer.util.selectModule("SegmentEditor")
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    editor.setSegmentationNode(segmentation)
    if volume is not None:
        editor.setSourceVolumeNode(volume)
    editor.setCurrentSegmentID(segmentID)


def _segmentOf(segmentation: Any, structure: str) -> str:
    """The ID of a structure's segment; of the first when it was renamed or removed, "" without any."""
    segments = segmentation.GetSegmentation()
    identifiers = list(segments.GetSegmentIDs())
    for each in identifiers:
        if plain(segments.GetSegment(each).GetName()) == structure:
            return str(each)
    return str(identifiers[0]) if identifiers else ""


def _bringIntoView(sliceNode: Any, position: Position) -> None:
    """Move the slice to a position; sideways too, but only if it would be out of sight."""
    sliceNode.JumpSliceByOffsetting(*position)
    toView = slicer.util.arrayFromVTKMatrix(sliceNode.GetSliceToRAS())
    x, y = (np.linalg.inv(toView) @ (*position, 1.0))[:2]
    width, height = sliceNode.GetFieldOfView()[:2]
    if abs(x) > width / 2 or abs(y) > height / 2:
        sliceNode.JumpSliceByCentering(*position)


def _mark(marker: Any, index: int, spot: HotSpot) -> None:
    if marker is None:
        return
    marker.SetAttribute(_CURRENT, str(index))
    if marker.GetNumberOfControlPoints() == 0:
        marker.AddControlPoint(*spot.position)
    marker.SetNthControlPointPosition(0, *spot.position)
    marker.SetNthControlPointLabel(0, spot.label)
    marker.GetDisplayNode().SetVisibility(True)
