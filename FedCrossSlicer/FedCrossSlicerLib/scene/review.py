"""The review of a result's hot spots: the current one, and the state of each.

Both are stored in the scene, so the review continues where it stopped when the scene is opened again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import slicer

from FedCrossSlicerLib.scene.hotspots import (
    HotSpot,
    Position,
    State,
    currentIndex,
    moveMarker,
    readHotSpots,
    writeState,
)
from FedCrossSlicerLib.scene.nodes import ResultNodes
from FedCrossSlicerLib.scene.tables import plainText

if TYPE_CHECKING:
    from slicer import (
        vtkMRMLSegmentationNode,
        vtkMRMLSliceNode,
        vtkMRMLVolumeNode,
    )

Editor = Callable[["vtkMRMLSegmentationNode", "vtkMRMLVolumeNode | None", str], None]


class Review:
    """The review of one result.

    Parameters
    ----------
    nodes
        The result.
    edit
        Opens an editor for a segmentation node, a volume node and a segment ID; None for Slicer's
        Segment Editor. Tests replace it.
    """

    def __init__(self, nodes: ResultNodes, edit: Editor | None = None) -> None:
        self._nodes = nodes
        self._edit = edit or openSegmentEditor

    @property
    def spots(self) -> list[HotSpot]:
        """The hot spots, the most uncertain first; empty if the user has deleted the table."""
        return readHotSpots(self._nodes.hotSpots)

    @property
    def current(self) -> int | None:
        """Index of the current hot spot, from 0; None before the first."""
        return currentIndex(self._nodes.marker)

    @property
    def progress(self) -> tuple[int, int]:
        """Number of hot spots that are not open, and number of all hot spots."""
        states = [spot.state for spot in self.spots]
        return sum(state is not State.OPEN for state in states), len(states)

    def go(self, index: int) -> None:
        """Show a hot spot in every slice view and move the marker to it.

        Parameters
        ----------
        index
            Position in `spots`, from 0.
        """
        spot = self.spots[index]
        for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
            _showPosition(node, spot.position)
        moveMarker(self._nodes.marker, index, spot)

    def next(self) -> None:
        """Go to the next hot spot; after the last comes the first."""
        self._step(1, 0)

    def previous(self) -> None:
        """Go to the previous hot spot; before the first comes the last."""
        self._step(-1, -1)

    def mark(self, index: int, state: State) -> None:
        """Store the state of the hot spot at `index`, counted from 0.

        Raises
        ------
        IndexError
            If the user has deleted the table of hot spots.
        """
        table = self._nodes.hotSpots
        if table is None:
            raise IndexError("the user has deleted the table of hot spots")
        writeState(table, index, state)

    def editHere(self, index: int) -> None:
        """Go to the hot spot at `index` and open the editor on the structure that it is nearest to."""
        self.go(index)
        segmentation = self._nodes.segmentation
        self._edit(
            segmentation, self._nodes.volume, _segmentID(segmentation, self.spots[index].structure)
        )

    def _step(self, by: int, start: int) -> None:
        count = len(self.spots)
        if count:
            current = self.current
            self.go((start if current is None else current + by) % count)


def openSegmentEditor(
    segmentation: vtkMRMLSegmentationNode, volume: vtkMRMLVolumeNode | None, segmentID: str
) -> None:
    """Switch to Slicer's Segment Editor.

    Parameters
    ----------
    segmentation
        The segmentation to edit.
    volume
        The source volume; None leaves the editor's own choice.
    segmentID
        The segment to select.
    """
    slicer.util.selectModule("SegmentEditor")
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    editor.setSegmentationNode(segmentation)
    if volume is not None:
        editor.setSourceVolumeNode(volume)
    editor.setCurrentSegmentID(segmentID)


def _segmentID(segmentation: vtkMRMLSegmentationNode, structure: str) -> str:
    """ID of a structure's segment, or else of the first segment; "" if there is no segment."""
    segments = segmentation.GetSegmentation()
    identifiers = list(segments.GetSegmentIDs())
    for each in identifiers:
        if plainText(segments.GetSegment(each).GetName()) == structure:
            return str(each)
    return str(identifiers[0]) if identifiers else ""


def _showPosition(sliceNode: vtkMRMLSliceNode, position: Position) -> None:
    """Move a slice to a position; centre the view on it if it lies outside the field of view."""
    sliceNode.JumpSliceByOffsetting(*position)
    toView = slicer.util.arrayFromVTKMatrix(sliceNode.GetSliceToRAS())
    x, y = (np.linalg.inv(toView) @ (*position, 1.0))[:2]
    width, height = sliceNode.GetFieldOfView()[:2]
    if abs(x) > width / 2 or abs(y) > height / 2:
        sliceNode.JumpSliceByCentering(*position)
