"""Has the user changed a segmentation? Told by a fingerprint, which outlives saving the scene."""

import hashlib
from typing import Any

import numpy as np
import slicer
from vtk.util.numpy_support import vtk_to_numpy

from FedCrossSlicerLib.scene.nodes import PREFIX, ResultNodes

KEPT = PREFIX + "Kept"
"""Attribute of a segmentation that no new result may replace: it shows one time point of several."""
_ATTRIBUTE = PREFIX + "Fingerprint"


def noteUnedited(nodes: ResultNodes) -> None:
    """Take the segmentation as it is now for what the ensemble said."""
    nodes.segmentation.SetAttribute(_ATTRIBUTE, fingerprint(nodes.segmentation))


def wasEdited(nodes: ResultNodes) -> bool:
    """Whether a segment came, went, or differs by as little as a voxel from what the ensemble said.

    One that must be kept in any case counts as edited.
    """
    if nodes.segmentation.GetAttribute(KEPT):
        return True
    return bool(nodes.segmentation.GetAttribute(_ATTRIBUTE) != fingerprint(nodes.segmentation))


def fingerprint(segmentation: Any) -> str:
    """Return SHA-256 over the segments' IDs, and where their voxels lie on the segmentation's grid.

    Names, colours and the order and layers of segments play no part: they are not what a segment
    covers, and saving may change the layers.
    """
    digest = hashlib.sha256()
    segments = segmentation.GetSegmentation()
    for segmentID in sorted(segments.GetSegmentIDs()):
        digest.update(segmentID.encode() + b"\0")
        digest.update(_covered(segments.GetSegment(segmentID)))
    return digest.hexdigest()


def _covered(segment: Any) -> bytes:
    """First voxel, size and voxels of the box that holds the segment; nothing for an empty one."""
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
        hit = np.flatnonzero(mask.any(axis=others))
        if hit.size == 0:
            return b""
        box.append(slice(int(hit[0]), int(hit[-1]) + 1))
    covered = mask[tuple(box)]
    start = [int(first[2 - axis]) + box[axis].start for axis in range(3)]
    return repr((start, covered.shape)).encode() + np.packbits(covered).tobytes()
