"""The box to which a segmentation is confined: a markups ROI node."""

from collections.abc import Sequence
from typing import Any


def fitRegion(roi: Any, volume: Any) -> None:
    """Lay a box around a volume where that is seen; a new ROI of Slicer's has neither place nor size.

    Parameters
    ----------
    roi
        Markups ROI node under no transform.
    volume
        Volume node; the box runs along the patient's axes, whatever the volume's own are.
    """
    bounds = [0.0] * 6
    volume.GetRASBounds(bounds)
    low, high = bounds[::2], bounds[1::2]
    roi.SetCenter([(first + last) / 2 for first, last in zip(low, high, strict=True)])
    roi.SetSize([last - first for first, last in zip(low, high, strict=True)])


def regionOf(roi: Any) -> dict[str, Any]:
    """Return a markups ROI's box where it is seen, as the child reads it: LPS, mm."""
    center, size = [0.0] * 3, [0.0] * 3
    roi.GetCenterWorld(center)
    roi.GetSizeWorld(size)
    axes = []
    for read in (roi.GetXAxisWorld, roi.GetYAxisWorld, roi.GetZAxisWorld):
        axis = [0.0] * 3
        read(axis)
        axes.append(_toLPS(axis))
    return {"center_mm": _toLPS(center), "size_mm": [float(side) for side in size], "axes": axes}


def _toLPS(ras: Sequence[float]) -> list[float]:
    return [-float(ras[0]), -float(ras[1]), float(ras[2])]
