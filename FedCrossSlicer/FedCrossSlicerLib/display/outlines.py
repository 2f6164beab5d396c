"""What each member says, and what all and any of them say, as thin outlines in the slice views."""

from typing import Any

from FedCrossSlicerLib.display.colors import memberColors

LINE_PIXELS = 1
UNION_OPACITY = 0.55
_WHITE = (1.0, 1.0, 1.0)


def styleOutlines(outlines: Any, members: int) -> None:
    """Give every member a colour of its own, the intersection and the union white; show nothing yet."""
    display = outlines.GetDisplayNode()
    display.SetVisibility(False)
    display.SetVisibility3D(False)
    display.SetVisibility2DFill(False)
    display.SetVisibility2DOutline(True)
    display.SetSliceIntersectionThickness(LINE_PIXELS)
    colors = memberColors(members)
    segments = outlines.GetSegmentation()
    for segmentID in segments.GetSegmentIDs():
        member = memberOf(segmentID)
        segment = segments.GetSegment(segmentID)
        segment.SetColor(*(_WHITE if member is None else colors[member % len(colors)]))
        if segmentID.startswith("union_"):
            display.SetSegmentOpacity2DOutline(segmentID, UNION_OPACITY)


def showOutlines(outlines: Any, members: bool, envelope: bool) -> None:
    """Show the members' outlines, those of their intersection and union, both or neither."""
    if outlines is None:
        return
    display = outlines.GetDisplayNode()
    wasModifying = display.StartModify()
    for segmentID in outlines.GetSegmentation().GetSegmentIDs():
        wanted = envelope if memberOf(segmentID) is None else members
        display.SetSegmentVisibility(segmentID, wanted)
    display.SetVisibility(members or envelope)
    display.EndModify(wasModifying)


def memberOf(segmentID: str) -> int | None:
    """Return the member whose outline a segment is; None for the intersection and the union."""
    kind, _, rest = segmentID.partition("_")
    number = rest.partition("_")[0]
    return int(number) if kind == "member" and number.isdigit() else None
