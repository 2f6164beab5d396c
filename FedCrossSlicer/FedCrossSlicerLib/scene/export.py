"""Write a volume node's image to a file for the child process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from FedCrossSlicerLib.bundle.nrrd import requireWhole
from FedCrossSlicerLib.errors import InferenceError

if TYPE_CHECKING:
    from slicer import vtkMRMLScalarVolumeNode


def exportVolume(volume: vtkMRMLScalarVolumeNode, path: Path) -> None:
    """Write a volume node's image in world space, with its parent transform applied.

    The transform is hardened on a copy, which is removed afterwards; the node does not change. The copy
    shares the voxels with the node, except under a non-linear transform, which resamples them.

    Parameters
    ----------
    volume
        Scalar volume node with an image.
    path
        The file to write, ``.nrrd``.

    Raises
    ------
    InferenceError
        If the file cannot be written.
    """
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    storage.UseCompressionOff()
    copy = _hardenedCopy(volume) if volume.GetParentTransformNode() is not None else None
    try:
        storage.WriteData(copy or volume)
        requireWhole(path)  # on a full disk the storage node reports success
    except InferenceError as error:
        raise InferenceError(
            _("{name} could not be exported: {why}").format(name=volume.GetName(), why=error)
        ) from error
    finally:
        if copy is not None:
            display = copy.GetDisplayNode()
            slicer.mrmlScene.RemoveNode(copy)
            if display is not None:
                slicer.mrmlScene.RemoveNode(display)


def _hardenedCopy(volume: vtkMRMLScalarVolumeNode) -> vtkMRMLScalarVolumeNode:
    copy = slicer.vtkSlicerVolumesLogic.CloneVolumeWithoutImageData(
        slicer.mrmlScene, volume, "FedCross export"
    )
    copy.SetAndObserveImageData(volume.GetImageData())
    copy.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    copy.HardenTransform()
    return copy
