"""Sequence browsers: the time points of a volume, and results that are stored by time point.

A sequence browser displays one time point at a time; the displayed nodes are its proxy nodes. The
results become sequences of the same browser, so that each time point displays its own result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import slicer

from FedCrossSlicerLib.scene.edits import KEPT, fingerprint
from FedCrossSlicerLib.scene.nodes import ResultNodes
from FedCrossSlicerLib.scene.roles import MARKER, PREFIX, ROLE, SEGMENTATION, SURFACE

if TYPE_CHECKING:
    from slicer import (
        vtkMRMLNode,
        vtkMRMLScalarVolumeNode,
        vtkMRMLSequenceBrowserNode,
        vtkMRMLSequenceNode,
    )

_SCENE_VIEWS = "SceneView"
"""Attribute of the browser in which Slicer stores scene views: its items are no time points."""
_TIME_POINT = PREFIX + "TimePoint"
"""Attribute of a segmentation: the time point that was segmented, if it was a single one."""
_RESULT = PREFIX + "Of"
"""Attribute of a sequence: the bundle's hash and the ID of the segmentation's sequence of its result."""
_FINGERPRINT = PREFIX + "Fingerprint."
"""Attribute of a segmentation's sequence, with the number of a time point behind it."""


def timePoints(volume: vtkMRMLScalarVolumeNode) -> tuple[vtkMRMLSequenceBrowserNode, int] | None:
    """Return the browser that displays a volume and its number of time points.

    Returns
    -------
    tuple or None
        None if the volume is not the proxy node of a sequence browser.
    """
    for browser in slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode"):
        if browser.IsProxyNode(volume.GetID()) and not browser.GetAttribute(_SCENE_VIEWS):
            return browser, browser.GetNumberOfItems()
    return None


def displayedTimePoint(volume: vtkMRMLScalarVolumeNode | None) -> str:
    """Return the time point that a volume displays, such as ``"0.1 s"``; ``""`` without a sequence."""
    found = timePoints(volume) if volume is not None else None
    master = found[0].GetMasterSequenceNode() if found is not None else None
    if found is None or master is None or found[0].GetSelectedItemNumber() < 0:
        return ""
    value = master.GetNthIndexValue(found[0].GetSelectedItemNumber())
    return f"{value} {master.GetIndexUnit() or ''}".strip()


def recordTimePoint(nodes: ResultNodes, timePoint: str) -> None:
    """Store of which time point a result is; ``""`` for a result that is not of a single one."""
    nodes.segmentation.SetAttribute(_TIME_POINT, timePoint or None)


def segmentedTimePoint(nodes: ResultNodes) -> str:
    """Return the time point that `recordTimePoint` stored."""
    return str(nodes.segmentation.GetAttribute(_TIME_POINT) or "")


def storeResults(
    loaders: Sequence[Callable[[], ResultNodes]],
    volume: vtkMRMLScalarVolumeNode,
    browser: vtkMRMLSequenceBrowserNode,
) -> ResultNodes:
    """Load the results of all time points and store them as sequences of the browser.

    The sequences of an earlier result of the same bundle are removed, unless the user has edited one of
    its time points.

    Parameters
    ----------
    loaders
        For each time point a function that loads its result into the scene.
    volume
        The browser's proxy volume.
    browser
        The sequence browser.

    Returns
    -------
    ResultNodes
        The nodes that display the result of the browser's current time point.

    Raises
    ------
    InferenceError
        If a loader raises it.
    """
    master = browser.GetMasterSequenceNode()
    sequences: list[vtkMRMLSequenceNode] = []
    nodes: ResultNodes | None = None
    for item, load in enumerate(loaders):
        selectTimePoint(browser, item)
        previous, nodes = nodes, load()
        if previous is not None and previous.segmentation.GetScene() is not None:
            previous.remove()
        _removeEarlierResults(browser, nodes)
        nodes.segmentation.SetAttribute(KEPT, "sequence")
        stored = _nodesToStore(nodes)
        sequences = sequences or [_newSequence(volume, master, node) for node in stored]
        for node, sequence in zip(stored, sequences, strict=True):
            sequence.SetDataNodeAtValue(node, master.GetNthIndexValue(item))
        sequences[0].SetAttribute(f"{_FINGERPRINT}{item}", fingerprint(nodes.segmentation))
    if nodes is None:
        raise ValueError("a sequence must have at least one time point")
    # As one modification: for a sequence without a proxy node the browser would create one itself.
    wasModifying = browser.StartModify()
    for node, sequence in zip(_nodesToStore(nodes), sequences, strict=True):
        sequence.SetAttribute(_RESULT, f"{nodes.bundleHash} {sequences[0].GetID()}")
        browser.AddSynchronizedSequenceNodeID(sequence.GetID())
        browser.AddProxyNode(node, sequence, False)
    browser.SetSaveChanges(sequences[0], True)  # store the user's edits with their time point
    browser.EndModify(wasModifying)
    return nodes


def _nodesToStore(nodes: ResultNodes) -> list[vtkMRMLNode]:
    """The nodes that differ between time points, the segmentation first.

    The surface is computed from the displayed segmentation, and the marker stays where the user put it.
    """
    return [node for node in nodes.owned() if node.GetAttribute(ROLE) not in (MARKER, SURFACE)]


def _newSequence(
    volume: vtkMRMLScalarVolumeNode, master: vtkMRMLSequenceNode, node: vtkMRMLNode
) -> vtkMRMLSequenceNode:
    role = node.GetAttribute(ROLE)
    name = slicer.mrmlScene.GenerateUniqueName(f"{volume.GetName()} {role}")
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
    sequence.SetAttribute(ROLE, role)
    sequence.SetIndexName(master.GetIndexName())
    sequence.SetIndexUnit(master.GetIndexUnit())
    sequence.SetIndexType(master.GetIndexType())
    return sequence


def _removeEarlierResults(browser: vtkMRMLSequenceBrowserNode, nodes: ResultNodes) -> None:
    """Remove the sequences and proxy nodes of earlier, unedited results of the same bundle."""
    stored = [
        sequence
        for sequence in slicer.util.getNodesByClass("vtkMRMLSequenceNode")
        if browser.IsSynchronizedSequenceNodeID(sequence.GetID()) and sequence.GetAttribute(_RESULT)
    ]
    for sequence in stored:
        result = sequence.GetAttribute(_RESULT)
        sameBundle = result.startswith(nodes.bundleHash)
        isSegmentation = sequence.GetAttribute(ROLE) == SEGMENTATION
        if not isSegmentation or not sameBundle or _isAnyEdited(sequence):
            continue
        displayed = ResultNodes.of(browser.GetProxyNode(sequence))
        for other in stored:
            if other.GetAttribute(_RESULT) == result:
                browser.RemoveSynchronizedSequenceNode(other.GetID())
                slicer.mrmlScene.RemoveNode(other)
        if displayed is not None:
            displayed.remove()


def _isAnyEdited(sequence: vtkMRMLSequenceNode) -> bool:
    return any(
        fingerprint(sequence.GetNthDataNode(item)) != sequence.GetAttribute(f"{_FINGERPRINT}{item}")
        for item in range(sequence.GetNumberOfDataNodes())
    )


@contextmanager
def sameTimePoint(browser: vtkMRMLSequenceBrowserNode) -> Iterator[None]:
    """Return to the current time point at the end of the ``with`` block."""
    selected = browser.GetSelectedItemNumber()
    try:
        yield
    finally:
        selectTimePoint(browser, selected)


def selectTimePoint(browser: vtkMRMLSequenceBrowserNode, item: int) -> None:
    """Display a time point, counted from 0, and update the proxy nodes."""
    browser.SetSelectedItemNumber(item)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
