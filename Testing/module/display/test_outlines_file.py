"""The file of the members' outlines, which has layers, read by Slicer's own reader."""

import numpy as np
import pytest
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from fedcross.contract.files import (
    OUTLINES,
    intersection_segment,
    member_segment,
    union_segment,
)
from fedcross.infer.results.outlines import write_outlines
from fedcross.volumes.grid import Grid
from fedcross.volumes.structure import Code, Structure

STRUCTURES = (
    Structure(
        name="Prostate",
        label=1,
        color=(0.2, 0.8, 0.4),
        type=Code(value="41216001", meaning="Prostate"),
    ),
    Structure(name="Lesion", label=2, color=(0.9, 0.3, 0.1)),
)
OBLIQUE = (0.0, -0.8, 0.6, 1.0, 0.0, 0.0, 0.0, 0.6, 0.8)


def segment_points(node, segment):
    """RAS coordinates of a segment's voxels in Slicer."""
    labelmap = slicer.vtkOrientedImageData()
    node.GetBinaryLabelmapRepresentation(segment, labelmap)
    if labelmap.IsEmpty():
        return np.zeros((0, 3))
    firstX, lastX, firstY, lastY, firstZ, lastZ = labelmap.GetExtent()
    shape = (lastZ - firstZ + 1, lastY - firstY + 1, lastX - firstX + 1)
    array = vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(shape)
    indices = np.argwhere(array)[:, ::-1] + (firstX, firstY, firstZ)
    matrix = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)
    toRAS = slicer.util.arrayFromVTKMatrix(matrix)
    return indices @ toRAS[:3, :3].T + toRAS[:3, 3]


def expected_in_world(grid, mask):
    indices = np.argwhere(mask)[:, ::-1]
    lps = indices @ grid.index_to_world[:3, :3].T + grid.index_to_world[:3, 3]
    return lps * (-1, -1, 1)


def same_points(found, expected):
    assert len(found) == len(expected)
    ordered = [points[np.lexsort(points.round(3).T)] for points in (found, expected)]
    assert np.allclose(*ordered, atol=1e-4)


@pytest.fixture
def members():
    rng = np.random.default_rng(5)
    maps = np.zeros((3, 9, 12, 14), np.uint8)
    maps[:, 3:6, 4:8, 5:11] = rng.integers(0, 3, (3, 3, 4, 6))
    maps[:, 4, 5, 6] = 1
    return list(maps)


@pytest.mark.parametrize("direction", [(1, 0, 0, 0, 1, 0, 0, 0, 1), OBLIQUE])
def test_every_segment_has_the_voxels_of_its_label_map(scene, tmp_path, members, direction):
    grid = Grid((14, 12, 9), (0.7, 1.1, 3.0), (10.0, -20.0, 5.0), direction)
    write_outlines(members, STRUCTURES, grid, tmp_path / OUTLINES)
    node = slicer.util.loadSegmentation(str(tmp_path / OUTLINES))
    segmentation = node.GetSegmentation()
    assert segmentation.GetNumberOfSegments() == 3 * 2 + 2 + 2
    for structure in STRUCTURES:
        slug, masks = structure.slug, [labels == structure.label for labels in members]
        for k, mask in enumerate(masks):
            segment = member_segment(k, slug)
            assert segmentation.GetSegment(segment).GetName().endswith(f"(member {k + 1})")
            same_points(segment_points(node, segment), expected_in_world(grid, mask))
        all_of, any_of = np.logical_and.reduce(masks), np.logical_or.reduce(masks)
        for segment, mask in ((intersection_segment(slug), all_of), (union_segment(slug), any_of)):
            same_points(segment_points(node, segment), expected_in_world(grid, mask))


def test_members_that_find_nothing_have_empty_segments(scene, tmp_path):
    grid = Grid((4, 4, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    empty = np.zeros((4, 4, 4), np.uint8)
    write_outlines([empty, empty], STRUCTURES, grid, tmp_path / OUTLINES)
    node = slicer.util.loadSegmentation(str(tmp_path / OUTLINES))
    assert node.GetSegmentation().GetNumberOfSegments() == 2 * 2 + 2 + 2
    assert len(segment_points(node, union_segment("prostate"))) == 0
