"""Does a volume plainly not fit a bundle? Asked before anything is computed; the user decides."""

from typing import Any

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from FedCrossSlicerLib.bundle.info import BundleInfo

COARSER = 4.0
"""A voxel so many times larger or smaller than in training shows other things than the training did."""
CT_AIR_HU = -500
"""Air in CT is about -1000; no other modality stores as low values as a rule."""
SMALLEST_SHARE = 0.5
"""Of the bundle's patch: what covers less shows less than the networks ever saw at once."""
_STEP = 4  # every fourth voxel tells the range well enough


def warnings(volume: Any, info: BundleInfo) -> list[str]:
    """Return what speaks against segmenting a volume with a bundle, a sentence each; often nothing.

    Parameters
    ----------
    volume
        Scalar volume node with an image. Its axes may be stored in any order.
    info
        The bundle.
    """
    return [*_spacing(volume, info), *_extent(volume, info), *_intensity(volume, info)]


def _spacing(volume: Any, info: BundleInfo) -> list[str]:
    spacing = _worldAxes(volume)[0]
    ratios = [given / wanted for given, wanted in zip(spacing, info.spacing, strict=True) if wanted]
    if all(1 / COARSER <= ratio <= COARSER for ratio in ratios):
        return []
    return [
        _("The voxels measure {given} mm, but the bundle was trained at {wanted} mm.").format(
            given=_product(spacing), wanted=_product(info.spacing)
        )
    ]


def _extent(volume: Any, info: BundleInfo) -> list[str]:
    spacing, size = _worldAxes(volume)
    if min(size) == 1:
        return [_("The volume is a single slice, but the bundle was trained on volumes.")]
    extent = [side * step for side, step in zip(size, spacing, strict=True)]
    patch = [side * step for side, step in zip(info.patchSize, info.spacing, strict=True)]
    if all(given >= SMALLEST_SHARE * whole for given, whole in zip(extent, patch, strict=True)):
        return []
    return [
        _("The volume covers {given} mm, but the networks look at {wanted} mm at a time.").format(
            given=_product(extent), wanted=_product(patch)
        )
    ]


def _intensity(volume: Any, info: BundleInfo) -> list[str]:
    values = slicer.util.arrayFromVolume(volume)[::_STEP, ::_STEP, ::_STEP]
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        return [_("The volume holds values that are not numbers.")]
    if low == high:
        return [_("All voxels have the same value, {value:g}.").format(value=low)]
    modality = dicomModality(volume) or ("CT" if low <= CT_AIR_HU else "")
    if not info.modality or not modality or modality == info.modality:
        return []
    return [
        _("The volume looks like {given}, but the bundle was trained on {wanted}.").format(
            given=modality, wanted=info.modality
        )
    ]


def dicomModality(volume: Any) -> str:
    """Return the modality that came with a volume from DICOM; ``""`` when it did not."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(volume) if hierarchy is not None else 0
    return str(hierarchy.GetItemAttribute(item, "DICOM.Modality")) if item else ""


def _worldAxes(volume: Any) -> tuple[list[float], list[int]]:
    """Spacing in mm and size along the stored axes nearest to the patient's x, y and z."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASDirectionMatrix(matrix)
    directions = np.abs(slicer.util.arrayFromVTKMatrix(matrix)[:3, :3])
    # Each stored axis goes to one axis of the world, the most decided one first.
    axes = [0, 0, 0]
    for _turn in range(3):
        world, stored = np.unravel_index(directions.argmax(), directions.shape)
        axes[world] = int(stored)
        directions[world, :] = directions[:, stored] = -1
    spacing, size = volume.GetSpacing(), volume.GetImageData().GetDimensions()
    return [spacing[axis] for axis in axes], [size[axis] for axis in axes]


def _product(sides: Any) -> str:
    return " x ".join(f"{side:.3g}" for side in sides)
