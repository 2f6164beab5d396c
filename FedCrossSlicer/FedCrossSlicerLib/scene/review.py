"""The review of a result's hot spots: the current one, and the state of each.

Both are stored in the scene, so the review continues where it stopped when the scene is opened again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import slicer
import vtk

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
from FedCrossSlicerLib.scene.roles import PREFIX
from FedCrossSlicerLib.scene.tables import plainText

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from slicer import (
        vtkMRMLScalarVolumeNode,
        vtkMRMLSegmentationNode,
        vtkMRMLSliceNode,
        vtkMRMLVolumeNode,
    )

Editor = Callable[["vtkMRMLSegmentationNode", "vtkMRMLVolumeNode | None", str], None]
_GRID = PREFIX + "Grid"
"""Attribute of the table of hot spots: size and IJK to RAS of the heat map when it was computed."""


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
        """The hot spots, the most uncertain first; empty if the user has deleted the table.

        Their positions are in world space. They follow the result if the user moves it by a transform,
        also if a linear transform was hardened.
        """
        place = _placer(self._nodes)
        spots = readHotSpots(self._nodes.hotSpots)
        return [replace(spot, position=place(spot.position)) for spot in spots]

    @property
    def isListed(self) -> bool:
        """Whether the scene still has the list of hot spots; the user may have deleted its table."""
        table = self._nodes.hotSpots
        return table is not None and table.GetNumberOfColumns() > 0

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
        """Go to the next hot spot, or from the last to the first."""
        self._step(1, 0)

    def previous(self) -> None:
        """Go to the previous hot spot, or from the first to the last."""
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


def recordGrid(nodes: ResultNodes) -> None:
    """Store the grid of the heat map, so that a review finds the hot spots of a hardened result."""
    if nodes.hotSpots is not None and nodes.heat is not None:
        size, matrix = _grid(nodes.heat)
        numbers = [*(str(n) for n in size), *(repr(float(n)) for n in matrix.ravel())]
        nodes.hotSpots.SetAttribute(_GRID, " ".join(numbers))


def _placer(nodes: ResultNodes) -> Callable[[Position], Position]:
    """Return a function from where a hot spot was computed to where it is now, both RAS in mm."""
    node, moved = nodes.heat or nodes.segmentation, np.eye(4)
    stored = (nodes.hotSpots.GetAttribute(_GRID) or "").split() if nodes.hotSpots else []
    if nodes.heat is not None and stored:
        size, matrix = _grid(nodes.heat)
        # A hardened non-linear transform gives another size: the voxels were resampled.
        if [str(n) for n in size] == stored[:3]:
            moved = matrix @ np.linalg.inv(np.array(stored[3:], float).reshape(4, 4))

    def place(position: Position) -> Position:
        world = [0.0, 0.0, 0.0]
        node.TransformPointToWorld((moved @ (*position, 1.0))[:3].tolist(), world)
        return (world[0], world[1], world[2])

    return place


def _grid(volume: vtkMRMLScalarVolumeNode) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    """Size in voxels and IJK to RAS of a volume."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return volume.GetImageData().GetDimensions(), slicer.util.arrayFromVTKMatrix(matrix)


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
