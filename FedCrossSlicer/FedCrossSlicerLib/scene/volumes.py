"""Which volumes of the scene can be segmented, which of them is displayed, and whether it is in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer

from FedCrossSlicerLib.scene.roles import ROLE

if TYPE_CHECKING:
    from slicer import vtkMRMLNode, vtkMRMLScalarVolumeNode, vtkMRMLSliceCompositeNode


def isSceneBusy() -> bool:
    """Return whether Slicer is opening, saving or closing the scene: nothing may be added meanwhile."""
    return bool(slicer.mrmlScene.GetStates())


def firstSliceView() -> vtkMRMLSliceCompositeNode | None:
    """Return the node that holds the volumes of the first slice view; None without slice views."""
    return slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")


def displayedVolume() -> vtkMRMLScalarVolumeNode | None:
    """Return the first slice view's background volume, or else the scene's first volume.

    Only volumes that can be segmented count; None if there is none.
    """
    scene, view = slicer.mrmlScene, firstSliceView()
    background = scene.GetNodeByID(view.GetBackgroundVolumeID() or "") if view is not None else None
    candidates = [background, *slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")]
    return next((node for node in candidates if _canBeSegmented(node)), None)


def _canBeSegmented(node: vtkMRMLNode | None) -> bool:
    """Whether the panel lists a node as input: a scalar volume, but no label map and no result's map."""
    return (
        node is not None
        and node.GetClassName() == "vtkMRMLScalarVolumeNode"
        and not node.GetHideFromEditors()
        and not node.GetAttribute(ROLE)
    )
