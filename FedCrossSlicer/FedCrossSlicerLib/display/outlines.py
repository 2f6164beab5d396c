"""Thin outlines in the slice views: each member, and the intersection and the union of all members."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedcross.contract.files import is_union_segment, member_of_segment
from FedCrossSlicerLib.display.colors import memberColors

if TYPE_CHECKING:
    from slicer import vtkMRMLSegmentationNode

LINE_PIXELS = 1
UNION_OPACITY = 0.55
_WHITE = (1.0, 1.0, 1.0)


def styleOutlines(outlines: vtkMRMLSegmentationNode, members: int) -> None:
    """Set the colours of the outlines and hide them.

    Each member gets its own colour; the intersection and the union are white.

    Parameters
    ----------
    outlines
        Segmentation node with the members' segmentations, their intersection and their union.
    members
        Number of members.
    """
    display = outlines.GetDisplayNode()
    display.SetVisibility(False)
    display.SetVisibility3D(False)
    display.SetVisibility2DFill(False)
    display.SetVisibility2DOutline(True)
    display.SetSliceIntersectionThickness(LINE_PIXELS)
    colors = memberColors(members)
    segments = outlines.GetSegmentation()
    for segmentID in segments.GetSegmentIDs():
        member = member_of_segment(segmentID)
        segment = segments.GetSegment(segmentID)
        segment.SetColor(*(_WHITE if member is None else colors[member % len(colors)]))
        if is_union_segment(segmentID):
            display.SetSegmentOpacity2DOutline(segmentID, UNION_OPACITY)


def showOutlines(outlines: vtkMRMLSegmentationNode | None, members: bool, envelope: bool) -> None:
    """Show or hide the outlines.

    Parameters
    ----------
    outlines
        The node that `styleOutlines` prepared; None if the result has none.
    members
        Whether the members' outlines are visible.
    envelope
        Whether the outlines of the intersection and of the union are visible.
    """
    if outlines is None:
        return
    display = outlines.GetDisplayNode()
    wasModifying = display.StartModify()
    for segmentID in outlines.GetSegmentation().GetSegmentIDs():
        visible = envelope if member_of_segment(segmentID) is None else members
        display.SetSegmentVisibility(segmentID, visible)
    display.SetVisibility(members or envelope)
    display.EndModify(wasModifying)
