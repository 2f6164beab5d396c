"""Stands in for the Segment Editor module and the window that switches to it.

The editor's selection is stored in Slicer's vtkMRMLSegmentEditorNode; there are no effects.
"""

from typing import Any

import slicer

from harness.application import ModuleEntry


class Editor:
    """Stands in for qMRMLSegmentEditorWidget."""

    def __init__(self) -> None:
        node = slicer.vtkMRMLSegmentEditorNode()
        node.SetSingletonTag("SegmentEditor")
        self._node = slicer.mrmlScene.AddNode(node)

    def setSegmentationNode(self, node: Any) -> None:
        self._node.SetAndObserveSegmentationNode(node)

    def segmentationNode(self) -> Any:
        return self._node.GetSegmentationNode()

    def setSourceVolumeNode(self, node: Any) -> None:
        self._node.SetAndObserveSourceVolumeNode(node)

    def sourceVolumeNode(self) -> Any:
        return self._node.GetSourceVolumeNode()

    def setCurrentSegmentID(self, segmentID: str) -> None:
        """Select a segment; as in Slicer an ID that the segmentation does not have is ignored."""
        if self.segmentationNode().GetSegmentation().GetSegment(segmentID) is not None:
            self._node.SetSelectedSegmentID(segmentID)

    def currentSegmentID(self) -> str:
        return str(self._node.GetSelectedSegmentID() or "")


class SegmentEditorEntry(ModuleEntry):
    """The value of `slicer.modules.segmenteditor`; the first access creates its panel."""

    def __init__(self) -> None:
        super().__init__("SegmentEditor")
        self._editor: Editor | None = None

    def widgetRepresentation(self) -> "SegmentEditorEntry":
        return self

    def self(self) -> "SegmentEditorEntry":
        return self

    @property
    def editor(self) -> Editor:
        self._editor = self._editor or Editor()
        return self._editor


class MainWindow:
    """The part of the main window that `slicer.util.selectModule` uses."""

    objectName = "qSlicerMainWindow"
    selectedModule = ""

    def moduleSelector(self) -> "MainWindow":
        return self

    def selectModule(self, name: str) -> None:
        self.selectedModule = name
