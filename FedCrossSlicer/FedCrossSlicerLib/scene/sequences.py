"""A sequence browser's nodes: its time points, and results that become sequences of it.

A sequence browser shows one time point at a time: its proxy nodes are what is seen. The results become
sequences of the same browser, so that scrolling through time shows each time point's own.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import slicer

from FedCrossSlicerLib.scene.edits import KEPT, fingerprint
from FedCrossSlicerLib.scene.nodes import (
    MARKER,
    PREFIX,
    ROLE,
    SEGMENTATION,
    SURFACE,
    ResultNodes,
)
from FedCrossSlicerLib.tasks.segmentation import SegmentationTask

_OF, _UNEDITED = PREFIX + "Of", PREFIX + "Fingerprint."


def timePoints(volume: Any) -> tuple[Any, int] | None:
    """Return the browser that a volume is shown by and its number of time points; None if by none."""
    for browser in slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode"):
        if browser.IsProxyNode(volume.GetID()):
            return browser, browser.GetNumberOfItems()
    return None


def show(tasks: Sequence[SegmentationTask], volume: Any, browser: Any) -> ResultNodes:
    """Bring the results into the scene, each in place of the one before, and keep them by time.

    An earlier run's result goes, unless one of its time points was edited.
    """
    master = browser.GetMasterSequenceNode()
    sequences: list[Any] = []
    nodes: Any = None
    for item, task in enumerate(tasks):
        select(browser, item)
        before, nodes = nodes, task.finish()
        if before is not None and before.segmentation.GetScene() is not None:
            before.remove()
        _retire(browser, nodes)
        nodes.segmentation.SetAttribute(KEPT, "sequence")
        kept = _changing(nodes)
        sequences = sequences or [_newSequence(volume, master, node) for node in kept]
        for node, sequence in zip(kept, sequences, strict=True):
            sequence.SetDataNodeAtValue(node, master.GetNthIndexValue(item))
        sequences[0].SetAttribute(f"{_UNEDITED}{item}", fingerprint(nodes.segmentation))
    # As one change: told of a sequence without a proxy, the browser would make a proxy of its own.
    wasModifying = browser.StartModify()
    for node, sequence in zip(_changing(nodes), sequences, strict=True):
        sequence.SetAttribute(_OF, f"{nodes.bundleHash} {sequences[0].GetID()}")
        browser.AddSynchronizedSequenceNodeID(sequence.GetID())
        browser.AddProxyNode(node, sequence, False)
    browser.SetSaveChanges(sequences[0], True)  # edits belong to their time point
    browser.EndModify(wasModifying)
    return nodes


def _changing(nodes: ResultNodes) -> list[Any]:
    """What differs from time point to time point, the segmentation first.

    The surface is made of the segmentation that is shown, and the marker is where the user put it.
    """
    return [node for node in nodes.owned() if node.GetAttribute(ROLE) not in (MARKER, SURFACE)]


def _newSequence(volume: Any, master: Any, node: Any) -> Any:
    role = node.GetAttribute(ROLE)
    name = slicer.mrmlScene.GenerateUniqueName(f"{volume.GetName()} {role}")
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
    sequence.SetAttribute(ROLE, role)
    sequence.SetIndexName(master.GetIndexName())
    sequence.SetIndexUnit(master.GetIndexUnit())
    sequence.SetIndexType(master.GetIndexType())
    return sequence


def _retire(browser: Any, nodes: ResultNodes) -> None:
    """Remove the sequences of earlier, unedited results of the same bundle, with what they show."""
    every = [
        sequence
        for sequence in slicer.util.getNodesByClass("vtkMRMLSequenceNode")
        if browser.IsSynchronizedSequenceNodeID(sequence.GetID()) and sequence.GetAttribute(_OF)
    ]
    for sequence in every:
        of = sequence.GetAttribute(_OF)
        ours = sequence.GetAttribute(ROLE) == SEGMENTATION and of.startswith(nodes.bundleHash)
        if not ours or _anyEdited(sequence):
            continue
        shown = ResultNodes.of(browser.GetProxyNode(sequence))
        for twin in every:
            if twin.GetAttribute(_OF) == of:
                browser.RemoveSynchronizedSequenceNode(twin.GetID())
                slicer.mrmlScene.RemoveNode(twin)
        if shown is not None:
            shown.remove()


def _anyEdited(sequence: Any) -> bool:
    return any(
        fingerprint(sequence.GetNthDataNode(item)) != sequence.GetAttribute(f"{_UNEDITED}{item}")
        for item in range(sequence.GetNumberOfDataNodes())
    )


@contextmanager
def sameTimePoint(browser: Any) -> Iterator[None]:
    """Show the same time point afterwards as before."""
    shown = browser.GetSelectedItemNumber()
    try:
        yield
    finally:
        select(browser, shown)


def select(browser: Any, item: int) -> None:
    """Show a time point, also in the proxy nodes."""
    browser.SetSelectedItemNumber(item)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
