"""The inner and the outer contour of each structure, which a calibrated bundle guarantees.

A guarantee holds on average over cases like those of the calibration: at most a given share of the inner
contour is not the structure, and the outer contour misses at most this share of the structure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from FedCrossSlicerLib.display.colors import Color

if TYPE_CHECKING:
    from slicer import vtkMRMLSegmentationNode

PERCENTS = (5, 10)
"""The shares of error, in percent, for which a result may have contours."""
DEFAULT_PERCENT = 10
INNER, OUTER = "inner", "outer"
COLORS = {INNER: (0.0, 1.0, 1.0), OUTER: (1.0, 0.25, 1.0)}
"""Cyan and magenta, which neither the heat map nor the members' outlines have."""
LINE_PIXELS = 2
_GREY = (0.5, 0.5, 0.5)
OPACITY_3D = {INNER: 0.6, OUTER: 0.25}
_SEGMENT = re.compile(rf"({INNER}|{OUTER})_(\d+)_(.+)")


def styleContours(contours: vtkMRMLSegmentationNode) -> None:
    """Set the colours of the contours and hide them."""
    display = contours.GetDisplayNode()
    display.SetVisibility(False)
    display.SetVisibility3D(False)
    display.SetVisibility2DFill(False)
    display.SetVisibility2DOutline(True)
    display.SetSliceIntersectionThickness(LINE_PIXELS)
    segments = contours.GetSegmentation()
    for segmentID in segments.GetSegmentIDs():
        found = _SEGMENT.fullmatch(segmentID)
        if found:
            segments.GetSegment(segmentID).SetColor(*COLORS[found[1]])
            display.SetSegmentOpacity3D(segmentID, OPACITY_3D[found[1]])


def showContours(
    contours: vtkMRMLSegmentationNode | None, percent: int | None, in3D: bool = False
) -> None:
    """Show the contours with one share of error and hide the others.

    Parameters
    ----------
    contours
        The node that `styleContours` prepared; None if the result has none.
    percent
        Share of error in percent; None hides all contours.
    in3D
        Whether the 3D views show them as surfaces too.
    """
    if contours is None:
        return
    shown = segmentsOf(contours, percent) if percent is not None else []
    display = contours.GetDisplayNode()
    if shown and in3D:
        contours.CreateClosedSurfaceRepresentation()
    wasModifying = display.StartModify()
    for segmentID in contours.GetSegmentation().GetSegmentIDs():
        display.SetSegmentVisibility(segmentID, segmentID in shown)
    display.SetVisibility3D(bool(shown) and in3D)
    display.SetVisibility(bool(shown))
    display.EndModify(wasModifying)


def segmentsOf(contours: vtkMRMLSegmentationNode, percent: int) -> list[str]:
    """Return the IDs of the contours with one share of error; empty if there was no guarantee."""
    identifiers = contours.GetSegmentation().GetSegmentIDs()
    return [each for each in identifiers if _percentOf(each) == percent]


def guarantees(contours: vtkMRMLSegmentationNode, percent: int) -> list[tuple[Color, str]]:
    """Return colour and guarantee of the contours with one share of error, for a legend.

    Returns
    -------
    list
        The inner contours, then the outer ones. If there are none of both, one grey line says why.
    """
    present = {segmentID.partition("_")[0] for segmentID in segmentsOf(contours, percent)}
    texts = {
        INNER: _("inner: at most {percent} % of the inner contour is not the structure"),
        OUTER: _("outer: the outer contour misses at most {percent} % of the structure"),
    }
    lines = [
        (COLORS[side], text.format(percent=percent))
        for side, text in texts.items()
        if side in present
    ]
    return lines or [
        (
            _GREY,
            _("no contours for {percent} %: too few cases in the calibration").format(
                percent=percent
            ),
        )
    ]


def _percentOf(segmentID: str) -> int | None:
    found = _SEGMENT.fullmatch(segmentID)
    return int(found[2]) if found else None
