"""The box that limits a segmentation: a markups ROI node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slicer import vtkMRMLMarkupsROINode, vtkMRMLVolumeNode


def fitRegion(roi: vtkMRMLMarkupsROINode, volume: vtkMRMLVolumeNode) -> None:
    """Set centre and size of a box so that it encloses a volume in world space.

    Slicer creates a new ROI node without centre and size.

    Parameters
    ----------
    roi
        Markups ROI node under no transform.
    volume
        Volume node. The box is parallel to the patient's axes, even if the volume is oblique.
    """
    bounds = [0.0] * 6
    volume.GetRASBounds(bounds)
    low, high = bounds[::2], bounds[1::2]
    roi.SetCenter([(first + last) / 2 for first, last in zip(low, high, strict=True)])
    roi.SetSize([last - first for first, last in zip(low, high, strict=True)])


def readRegion(roi: vtkMRMLMarkupsROINode) -> dict[str, Any]:
    """Return a box in world space, as the child process reads it.

    Returns
    -------
    dict
        ``center_mm`` (x, y, z) and ``size_mm`` (along the box's own axes) in mm, and ``axes``, the three
        unit vectors of the box; all in LPS.
    """
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
