"""Reasons why volumes do not fit a bundle: voxel size, extent, intensities, modality.

The panel shows them before anything is computed; the user decides whether to segment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from fedcross.contract.fit import (
    Wanted,
    extent_warnings,
    intensity_warnings,
    measure_intensities,
    same_volume_warning,
    spacing_warnings,
)
from FedCrossSlicerLib.bundle.info import BundleInfo

if TYPE_CHECKING:
    from slicer import vtkMRMLScalarVolumeNode


def hasVoxels(volume: vtkMRMLScalarVolumeNode) -> bool:
    """Return whether a volume has voxels with one value each.

    The image of a volume whose file was lost, or that another module is about to fill, has none.
    """
    image = volume.GetImageData()
    values = image.GetPointData().GetScalars() if image is not None else None
    return (
        values is not None
        and values.GetNumberOfTuples() > 0
        and values.GetNumberOfComponents() == 1
    )


def warnings(volume: vtkMRMLScalarVolumeNode, info: BundleInfo) -> list[str]:
    """Return why a volume does not fit a bundle, one sentence each; an empty list if it fits.

    Parameters
    ----------
    volume
        Scalar volume node with voxels. Its axes may be stored in any order.
    info
        The bundle's description.
    """
    modality = info.channels[0][1] if info.channels else info.modality
    spacing, size = _patientAxes(volume)
    wanted = _wanted(info)
    return [
        *spacing_warnings(spacing, wanted, _),
        *extent_warnings(size, spacing, wanted, _),
        *_intensity(volume, info, modality),
    ]


def channelWarnings(
    volumes: Sequence[vtkMRMLScalarVolumeNode | None], info: BundleInfo
) -> list[str]:
    """Return why the volumes of a bundle with several channels do not fit, one sentence each.

    Parameters
    ----------
    volumes
        The volume node of each channel; None if none is chosen. Volumes without voxels are skipped.
    info
        The bundle's description.
    """
    found = []
    for (name, modality), volume in zip(info.channels, volumes, strict=True):
        if volume is None or not hasVoxels(volume):
            continue
        others = (
            warnings(volume, info) if volume is volumes[0] else _intensity(volume, info, modality)
        )
        found += [f"{name}: {sentence}" for sentence in others]
    for index, (name, _modality) in enumerate(info.channels):
        same = [info.channels[n][0] for n in range(index) if volumes[n] is volumes[index]]
        if same and volumes[index] is not None:
            found.append(same_volume_warning(same[0], name, _))
    return found


def _wanted(info: BundleInfo) -> Wanted:
    return Wanted(info.spacing, info.patchSize)


def _intensity(volume: vtkMRMLScalarVolumeNode, info: BundleInfo, wantedModality: str) -> list[str]:
    """`wantedModality` is that of the training images; empty if unknown."""
    voxels = slicer.util.arrayFromVolume(volume)
    if not np.isfinite([float(voxels.min()), float(voxels.max())]).all():
        return [_("The volume holds values that are not numbers.")]
    return intensity_warnings(
        measure_intensities(voxels),
        dicomModality(volume),
        wantedModality,
        intensity=info.intensity,
        translate=_,
    )


def dicomModality(volume: vtkMRMLScalarVolumeNode) -> str:
    """Return the modality of a volume that was loaded from DICOM; ``""`` for other volumes."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(volume) if hierarchy is not None else 0
    return str(hierarchy.GetItemAttribute(item, "DICOM.Modality")) if item else ""


def _patientAxes(volume: vtkMRMLScalarVolumeNode) -> tuple[list[float], list[int]]:
    """Spacing in mm and size in voxels along the stored axes nearest to the patient's x, y and z."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASDirectionMatrix(matrix)
    directions = np.abs(slicer.util.arrayFromVTKMatrix(matrix)[:3, :3])
    # Assign each stored axis to one axis of the patient, the largest direction cosine first.
    axes = [0, 0, 0]
    for _turn in range(3):
        patient, stored = np.unravel_index(directions.argmax(), directions.shape)
        axes[patient] = int(stored)
        directions[patient, :] = directions[:, stored] = -1
    spacing, size = volume.GetSpacing(), volume.GetImageData().GetDimensions()
    return [spacing[axis] for axis in axes], [size[axis] for axis in axes]
