"""Every time point of a sequence in one go.

A sequence browser shows one time point at a time: its proxy nodes are what is seen. The results become
sequences of the same browser, so that scrolling through time shows each time point's own.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from FedCrossSlicerLib.child import Options
from FedCrossSlicerLib.resultnodes import ResultNodes

Progress = Callable[[int, int, str], None]


def timePoints(volume: Any) -> tuple[Any, int] | None:
    """Return the browser that a volume is shown by and its number of time points; None if by none."""
    for browser in slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode"):
        if browser.IsProxyNode(volume.GetID()):
            return browser, browser.GetNumberOfItems()
    return None


def segmentSequence(
    logic: Any,
    volume: Any,
    bundle: Path,
    options: Options | None = None,
    progress: Progress | None = None,
) -> ResultNodes:
    """Segment every time point; the results of the last one stand for all, as the browser shows them.

    Parameters
    ----------
    logic
        With a blocking `segment`.
    volume
        A sequence browser's proxy volume.
    progress
        Called with (time points done, in all, what is going on).

    Returns
    -------
    ResultNodes
        Whose segmentation and heat map change with the browser's time point.

    Raises
    ------
    InferenceError
        As `segment`; scene and browser are then as they were.
    """
    found = timePoints(volume)
    if found is None:
        raise ValueError("volume must be a sequence browser's proxy node")
    browser, count = found
    first = browser.GetSelectedItemNumber()
    sequences = {role: _newSequence(volume, browser, role) for role in ("segmentation", "heat")}
    nodes: ResultNodes | None = None
    try:
        for item in range(count):
            if progress is not None:
                text = _("Time point {item} of {count}").format(item=item + 1, count=count)
                progress(item, count, text)
            browser.SetSelectedItemNumber(item)
            if nodes is not None:
                nodes.remove()
            nodes = logic.segment(volume, bundle, options)
            value = browser.GetMasterSequenceNode().GetNthIndexValue(item)
            sequences["segmentation"].SetDataNodeAtValue(nodes.segmentation, value)
            sequences["heat"].SetDataNodeAtValue(nodes.heat, value)
    except BaseException:
        if nodes is not None:
            nodes.remove()
        for sequence in sequences.values():
            slicer.mrmlScene.RemoveNode(sequence)
        browser.SetSelectedItemNumber(first)
        raise
    for role, sequence in sequences.items():
        browser.AddSynchronizedSequenceNodeID(sequence.GetID())
        browser.AddProxyNode(getattr(nodes, role), sequence, False)
    browser.SetSelectedItemNumber(first)
    return nodes


def _newSequence(volume: Any, browser: Any, role: str) -> Any:
    master = browser.GetMasterSequenceNode()
    name = slicer.mrmlScene.GenerateUniqueName(f"{volume.GetName()} {role}")
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
    sequence.SetIndexName(master.GetIndexName())
    sequence.SetIndexUnit(master.GetIndexUnit())
    sequence.SetIndexType(master.GetIndexType())
    return sequence
