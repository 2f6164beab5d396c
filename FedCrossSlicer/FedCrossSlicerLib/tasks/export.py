"""Write a volume node's image to a file for the child process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import slicer
import vtk
from slicer.i18n import tr as _

from FedCrossSlicerLib.bundle.nrrd import requireWhole
from FedCrossSlicerLib.errors import InferenceError
from FedCrossSlicerLib.tasks.right_angles import hasRightAngles, resampleAtRightAngles

if TYPE_CHECKING:
    from slicer import vtkMRMLScalarVolumeNode

NOT_WRITTEN = (
    vtk.VTK_CHAR,
    vtk.VTK_SIGNED_CHAR,
    vtk.VTK_LONG,
    vtk.VTK_UNSIGNED_LONG,
    vtk.VTK_LONG_LONG,
    vtk.VTK_UNSIGNED_LONG_LONG,
)
"""Types of voxels that the writer does not know, or that have another size on other systems."""
LARGEST = {vtk.VTK_SHORT: 2**15 - 1, vtk.VTK_INT: 2**31 - 1}


def exportVolume(volume: vtkMRMLScalarVolumeNode, path: Path) -> None:
    """Write a volume node's image in world space, with its parent transform applied.

    Everything is done on a copy, which is removed afterwards; the node does not change. The copy shares
    the voxels with the node, except where they are resampled: under a non-linear transform, and if the
    axes are not at right angles. Integers of 8 bits with a sign, and of 64 bits, get another type that
    holds the same values, or float64.

    Parameters
    ----------
    volume
        Scalar volume node with an image.
    path
        The file to write, ``.nrrd``.

    Raises
    ------
    InferenceError
        If the file cannot be written, or the axes are too far from right angles.
    """
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    storage.UseCompressionOff()
    copy = None if _canBeWritten(volume) else _hardenedCopy(volume)
    try:
        if copy is not None:
            if copy.GetImageData().GetScalarType() in NOT_WRITTEN:
                _changeType(copy)
            if not hasRightAngles(copy):
                resampleAtRightAngles(copy)
        storage.WriteData(copy or volume)
        requireWhole(path)  # on a full disk the storage node reports success
    except InferenceError as error:
        why = str(error).replace(path.name, _("its file"))
        raise InferenceError(
            _("{name} could not be exported: {why}").format(name=volume.GetName(), why=why)
        ) from error
    finally:
        if copy is not None:
            display = copy.GetDisplayNode()
            slicer.mrmlScene.RemoveNode(copy)
            if display is not None:
                slicer.mrmlScene.RemoveNode(display)


def _canBeWritten(volume: vtkMRMLScalarVolumeNode) -> bool:
    return (
        volume.GetParentTransformNode() is None
        and volume.GetImageData().GetScalarType() not in NOT_WRITTEN
        and hasRightAngles(volume)
    )


def _changeType(copy: vtkMRMLScalarVolumeNode) -> None:
    """Give a copy voxels of the smallest of `LARGEST` that holds its values, or else float64."""
    image = copy.GetImageData()
    largest = max(abs(end) for end in image.GetScalarRange())
    kinds = [kind for kind, limit in LARGEST.items() if largest <= limit]
    cast = vtk.vtkImageCast()
    cast.SetInputData(image)
    cast.SetOutputScalarType(kinds[0] if kinds else vtk.VTK_DOUBLE)
    cast.Update()
    copy.SetAndObserveImageData(cast.GetOutput())


def _hardenedCopy(volume: vtkMRMLScalarVolumeNode) -> vtkMRMLScalarVolumeNode:
    copy = slicer.vtkSlicerVolumesLogic.CloneVolumeWithoutImageData(
        slicer.mrmlScene, volume, "FedCross export"
    )
    copy.SetAndObserveImageData(volume.GetImageData())
    copy.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    copy.HardenTransform()
    return copy
