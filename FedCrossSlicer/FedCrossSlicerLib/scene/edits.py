"""Whether the user has edited a result's segmentation.

A fingerprint of the segmentation is stored in an attribute of its node, so the answer is the same after
the scene was saved and opened again.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import slicer
from vtk.util.numpy_support import vtk_to_numpy

from FedCrossSlicerLib.scene.nodes import ResultNodes
from FedCrossSlicerLib.scene.roles import PREFIX

if TYPE_CHECKING:
    from slicer import vtkMRMLSegmentationNode, vtkSegment

KEPT = PREFIX + "Kept"
"""Attribute of a segmentation that no new result may replace: it shows one time point of a sequence."""
_FINGERPRINT = PREFIX + "Fingerprint"


def recordFingerprint(nodes: ResultNodes) -> None:
    """Store the fingerprint of the segmentation; `isEdited` compares with it."""
    nodes.segmentation.SetAttribute(_FINGERPRINT, fingerprint(nodes.segmentation))


def isEdited(nodes: ResultNodes) -> bool:
    """Return whether the segmentation differs from the ensemble's, by as little as one voxel.

    A segmentation with the attribute `KEPT` counts as edited.
    """
    if nodes.segmentation.GetAttribute(KEPT):
        return True
    return bool(nodes.segmentation.GetAttribute(_FINGERPRINT) != fingerprint(nodes.segmentation))


def fingerprint(segmentation: vtkMRMLSegmentationNode) -> str:
    """Return SHA-256 of the segments' IDs and of their voxels on the segmentation's grid.

    Names, colours, order and layers of the segments do not change it: they do not change what a segment
    covers, and saving a scene may change the layers.
    """
    digest = hashlib.sha256()
    segments = segmentation.GetSegmentation()
    for segmentID in sorted(segments.GetSegmentIDs()):
        digest.update(segmentID.encode() + b"\0")
        digest.update(_voxels(segments.GetSegment(segmentID)))
    return digest.hexdigest()


def _voxels(segment: vtkSegment) -> bytes:
    """First voxel, size and voxels of the bounding box of a segment; no bytes for an empty segment."""
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    image = segment.GetRepresentation(name)
    if image is None or image.GetNumberOfPoints() == 0:
        return b""
    first = np.array(image.GetExtent()[::2])
    scalars = vtk_to_numpy(image.GetPointData().GetScalars())
    mask = scalars.reshape(image.GetDimensions()[::-1]) == segment.GetLabelValue()  # (z, y, x)
    box = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        occupied = np.flatnonzero(mask.any(axis=others))
        if occupied.size == 0:
            return b""
        box.append(slice(int(occupied[0]), int(occupied[-1]) + 1))
    voxels = mask[tuple(box)]
    start = [int(first[2 - axis]) + box[axis].start for axis in range(3)]
    return repr((start, voxels.shape)).encode() + np.packbits(voxels).tobytes()
