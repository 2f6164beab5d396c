"""Reasons why volumes do not fit a bundle: voxel size, extent, intensities, modality.

The panel shows them before anything is computed; the user decides whether to segment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from FedCrossSlicerLib.bundle.info import BundleInfo

if TYPE_CHECKING:
    from slicer import vtkMRMLScalarVolumeNode

MAX_SPACING_RATIO = 4.0
"""Largest ratio between the volume's and the bundle's voxel size, in either direction."""
CT_AIR_HU = -500
"""A volume with a value this low is taken for CT: air in CT is about -1000 HU."""
MIN_PATCH_SHARE = 0.5
"""Smallest share of the bundle's patch that the volume must cover along each axis."""
_STEP = 4
"""Every fourth voxel along each axis is read to find the range of intensities."""


def warnings(volume: vtkMRMLScalarVolumeNode, info: BundleInfo) -> list[str]:
    """Return why a volume does not fit a bundle, one sentence each; an empty list if it fits.

    Parameters
    ----------
    volume
        Scalar volume node with an image. Its axes may be stored in any order.
    info
        The bundle's description.
    """
    modality = info.channels[0][1] if info.channels else info.modality
    return [*_spacing(volume, info), *_extent(volume, info), *_intensity(volume, modality)]


def channelWarnings(
    volumes: Sequence[vtkMRMLScalarVolumeNode | None], info: BundleInfo
) -> list[str]:
    """Return why the volumes of a bundle with several channels do not fit, one sentence each.

    Parameters
    ----------
    volumes
        The volume node of each channel; None if none is chosen. Volumes without an image are skipped.
    info
        The bundle's description.
    """
    found = []
    for (name, modality), volume in zip(info.channels, volumes, strict=True):
        if volume is None or volume.GetImageData() is None:
            continue
        others = warnings(volume, info) if volume is volumes[0] else _intensity(volume, modality)
        found += [f"{name}: {sentence}" for sentence in others]
    for index, (name, _modality) in enumerate(info.channels):
        same = [info.channels[n][0] for n in range(index) if volumes[n] is volumes[index]]
        if same and volumes[index] is not None:
            found.append(
                _("{first} and {second} are the same volume.").format(first=same[0], second=name)
            )
    return found


def _spacing(volume: vtkMRMLScalarVolumeNode, info: BundleInfo) -> list[str]:
    spacing = _patientAxes(volume)[0]
    ratios = [own / trained for own, trained in zip(spacing, info.spacing, strict=True) if trained]
    if all(1 / MAX_SPACING_RATIO <= ratio <= MAX_SPACING_RATIO for ratio in ratios):
        return []
    return [
        _("The voxels measure {given} mm, but the bundle was trained at {wanted} mm.").format(
            given=_product(spacing), wanted=_product(info.spacing)
        )
    ]


def _extent(volume: vtkMRMLScalarVolumeNode, info: BundleInfo) -> list[str]:
    spacing, size = _patientAxes(volume)
    if min(size) == 1:
        return [_("The volume is a single slice, but the bundle was trained on volumes.")]
    extent = [side * step for side, step in zip(size, spacing, strict=True)]
    patch = [side * step for side, step in zip(info.patchSize, info.spacing, strict=True)]
    if all(own >= MIN_PATCH_SHARE * side for own, side in zip(extent, patch, strict=True)):
        return []
    return [
        _("The volume covers {given} mm, but one patch of the networks covers {wanted} mm.").format(
            given=_product(extent), wanted=_product(patch)
        )
    ]


def _intensity(volume: vtkMRMLScalarVolumeNode, wanted: str) -> list[str]:
    """`wanted` is the modality of the training images; empty if unknown."""
    values = slicer.util.arrayFromVolume(volume)[::_STEP, ::_STEP, ::_STEP]
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        return [_("The volume holds values that are not numbers.")]
    if low == high:
        return [_("All voxels have the same value, {value:g}.").format(value=low)]
    modality = dicomModality(volume) or ("CT" if low <= CT_AIR_HU else "")
    if not wanted or not modality or modality == wanted:
        return []
    return [
        _("The volume looks like {given}, but the bundle was trained on {wanted}.").format(
            given=modality, wanted=wanted
        )
    ]


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


def _product(sides: Iterable[float]) -> str:
    return " x ".join(f"{side:.3g}" for side in sides)
