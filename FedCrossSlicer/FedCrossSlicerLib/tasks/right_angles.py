"""Resample a volume whose axes are not at right angles, for example under a sheared transform."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from FedCrossSlicerLib.errors import InferenceError

if TYPE_CHECKING:
    from slicer import vtkMRMLScalarVolumeNode

MAX_COSINE = 0.009
"""Largest cosine between two axes that count as being at right angles; the reader refuses 0.01."""
MAX_GROWTH = 8
"""Largest ratio of the voxels after and before."""


def hasRightAngles(volume: vtkMRMLScalarVolumeNode) -> bool:
    """Return whether the axes of a volume are at right angles to each other."""
    axes = _ijkToRas(volume)[:3, :3]
    units = axes / np.linalg.norm(axes, axis=0)
    cosines = np.abs(units.T @ units - np.eye(3))
    return bool(cosines.max() <= MAX_COSINE)


def resampleAtRightAngles(volume: vtkMRMLScalarVolumeNode) -> None:
    """Give a volume the nearest axes at right angles; its voxels are interpolated linearly.

    The new grid has the same spacing and contains the whole old one. What lies outside of the old one
    gets its lowest value. The image of the node is replaced, not changed.

    Parameters
    ----------
    volume
        Scalar volume node with an image, without a parent transform.

    Raises
    ------
    InferenceError
        If the new grid had more than `MAX_GROWTH` times as many voxels.
    """
    old, image = _ijkToRas(volume), volume.GetImageData()
    new, size = _gridAround(old, np.array(image.GetDimensions()))
    if np.prod(size, dtype=float) > MAX_GROWTH * image.GetNumberOfPoints():
        raise InferenceError(_("its axes are too far from right angles."))
    newToOld = vtk.vtkTransform()
    newToOld.SetMatrix((np.linalg.inv(old) @ new).ravel())
    reslice = vtk.vtkImageReslice()
    reslice.SetInputData(image)
    reslice.SetResliceTransform(newToOld)
    reslice.SetInterpolationModeToLinear()
    reslice.SetBackgroundLevel(image.GetScalarRange()[0])
    reslice.SetOutputSpacing(1, 1, 1)
    reslice.SetOutputOrigin(0, 0, 0)
    reslice.SetOutputExtent(0, size[0] - 1, 0, size[1] - 1, 0, size[2] - 1)
    reslice.Update()
    volume.SetAndObserveImageData(reslice.GetOutput())
    volume.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(new))


def _gridAround(old: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Return IJK to RAS and the size of a grid at right angles that contains another one."""
    spacing = np.linalg.norm(old[:3, :3], axis=0)
    left, _values, right = np.linalg.svd(old[:3, :3] / spacing)
    axes = left @ right * spacing  # the nearest rotation, times the spacing
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in size])).reshape(3, 8)
    places = np.linalg.inv(axes) @ (old[:3, :3] @ corners)
    first, last = places.min(axis=1), places.max(axis=1)
    new = np.eye(4)
    new[:3, :3] = axes
    new[:3, 3] = old[:3, 3] + axes @ (first + 0.5)
    return new, [int(n) for n in np.ceil(last - first - 1e-6)]


def _ijkToRas(volume: vtkMRMLScalarVolumeNode) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)
