"""A volume node's image in a file, for the child."""

from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from FedCrossSlicerLib.bundle.nrrd import requireWhole
from FedCrossSlicerLib.errors import InferenceError


def exportVolume(volume: Any, path: Path) -> None:
    """Write a volume node's image where it is seen: with its parent transform applied.

    The transform is hardened on a copy that is removed again; the node itself stays as it is. The copy
    shares the voxels, unless the transform bends space: then it is resampled.

    Raises
    ------
    InferenceError
        If the image cannot be written.
    """
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    storage.UseCompressionOff()
    copy = _hardenedCopy(volume) if volume.GetParentTransformNode() is not None else None
    try:
        storage.WriteData(copy or volume)
        requireWhole(path)  # the storage node reports success on a full disk
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


def _hardenedCopy(volume: Any) -> Any:
    copy = slicer.vtkSlicerVolumesLogic.CloneVolumeWithoutImageData(
        slicer.mrmlScene, volume, "FedCross export"
    )
    copy.SetAndObserveImageData(volume.GetImageData())
    copy.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    copy.HardenTransform()
    return copy
