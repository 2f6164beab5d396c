"""The layers of the slice views: in which views the heat map lies over its volume."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer

if TYPE_CHECKING:
    from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSliceCompositeNode, vtkMRMLVolumeNode


def overlayHeat(
    heat: vtkMRMLScalarVolumeNode, volume: vtkMRMLScalarVolumeNode | None, opacity: float
) -> None:
    """Lay the heat map over its volume in the views that show the volume and in the empty views.

    Views that show another volume keep it, so that volumes can be compared side by side. If no view of
    the layout shows the volume, all views change.

    Parameters
    ----------
    heat
        The heat map.
    volume
        Its volume; None if the user has deleted it. The heat map then lies over no other volume.
    opacity
        0 to 1.
    """
    for composite in _viewsFor(volume):
        if volume is not None:
            composite.SetBackgroundVolumeID(volume.GetID())
        composite.SetForegroundVolumeID(heat.GetID())
        composite.SetForegroundOpacity(opacity)


def removeHeat(heat: vtkMRMLScalarVolumeNode) -> None:
    """Empty the foreground of the views that show the heat map there."""
    for composite in _allViews():
        if composite.GetForegroundVolumeID() == heat.GetID():
            composite.SetForegroundVolumeID(None)


def _viewsFor(volume: vtkMRMLScalarVolumeNode | None) -> list[vtkMRMLSliceCompositeNode]:
    views = _allViews()
    own = [each for each in views if _background(each) is volume]
    if volume is None:
        return own
    if any(_isInLayout(each) for each in own):
        return own + [each for each in views if _background(each) is None]
    return views


def _allViews() -> list[vtkMRMLSliceCompositeNode]:
    return list(slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"))


def _background(composite: vtkMRMLSliceCompositeNode) -> vtkMRMLVolumeNode | None:
    return slicer.mrmlScene.GetNodeByID(composite.GetBackgroundVolumeID() or "")


def _isInLayout(composite: vtkMRMLSliceCompositeNode) -> bool:
    """Whether the layout shows a view; other layouts left views that are hidden now.

    Without a layout, for instance in a script without a main window, every view counts.
    """
    shown = {
        node.GetLayoutName()
        for node in slicer.util.getNodesByClass("vtkMRMLSliceNode")
        if node.IsMappedInLayout()
    }
    return not shown or composite.GetLayoutName() in shown
