import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from fedcross.volumes.files.segmentation import write_segmentation
from fedcross.volumes.structure import Structure

KIDNEY = Structure.model_validate(
    {
        "name": "Left kidney",
        "label": 1,
        "color": (0.8, 0.4, 0.2),
        "type": {"value": "64033007", "meaning": "Kidney"},
    }
)
TUMOUR = Structure(name="Zyste, größte", label=2, color=(0.0, 1.0, 0.125))
ABSENT = Structure(name="Nothing", label=3)

# Loads the file with 3D Slicer's own classes and prints the segments as JSON.
LOAD = """
import json, sys
import slicer, vtk
scene = slicer.vtkMRMLScene()
node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
storage = slicer.vtkMRMLSegmentationStorageNode()
scene.AddNode(storage)
storage.SetFileName(sys.argv[1])
assert storage.ReadData(node)
segmentation = node.GetSegmentation()
found = []
for index in range(segmentation.GetNumberOfSegments()):
    identifier = segmentation.GetNthSegmentID(index)
    segment = segmentation.GetSegment(identifier)
    tag = vtk.mutable("")
    segment.GetTag("TerminologyEntry", tag)
    mask = slicer.vtkOrientedImageData()
    node.GetBinaryLabelmapRepresentation(identifier, mask)
    matrix = vtk.vtkMatrix4x4()
    mask.GetImageToWorldMatrix(matrix)
    extent = mask.GetExtent()
    voxels = []
    for k in range(extent[4], extent[5] + 1):
        for j in range(extent[2], extent[3] + 1):
            for i in range(extent[0], extent[1] + 1):
                if mask.GetScalarComponentAsDouble(i, j, k, 0):
                    voxels.append(matrix.MultiplyPoint((i, j, k, 1))[:3])
    found.append({
        "id": identifier, "name": segment.GetName(), "color": segment.GetColor(),
        "tag": str(tag), "label": segment.GetLabelValue(), "ras": voxels,
    })
source = segmentation.GetSourceRepresentationName()
print(json.dumps({"source": source, "segments": found}))
"""


@pytest.fixture
def labels():
    array = np.zeros((5, 6, 7), np.uint8)
    array[1:3, 2:5, 3] = 1
    array[4, 5, 6] = 2
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((10.5, -20.25, 33.0))
    image.SetDirection((0, 0.6, 0.8, 1, 0, 0, 0, 0.8, -0.6))
    return image


@pytest.fixture
def written(labels, tmp_path):
    path = tmp_path / "result.seg.nrrd"
    write_segmentation(labels, (KIDNEY, TUMOUR, ABSENT), path)
    return path


def test_the_file_contains_the_label_map_and_its_geometry(labels, written):
    read = sitk.ReadImage(str(written))
    assert read.GetPixelID() == sitk.sitkUInt8
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read), sitk.GetArrayFromImage(labels))
    np.testing.assert_allclose(read.GetDirection(), labels.GetDirection(), atol=1e-12)
    np.testing.assert_allclose(read.GetOrigin(), labels.GetOrigin(), atol=1e-12)
    np.testing.assert_allclose(read.GetSpacing(), labels.GetSpacing(), atol=1e-12)


def test_the_header_contains_the_fields_that_slicer_reads(written):
    read = sitk.ReadImage(str(written))
    assert read.GetMetaData("Segment0_Extent") == "3 3 2 4 1 2"
    assert read.GetMetaData("Segment1_Extent") == "6 6 5 5 4 4"
    assert read.GetMetaData("Segment2_Extent") == "0 -1 0 -1 0 -1"
    assert read.GetMetaData("Segment0_Tags") == (
        "TerminologyEntry:Segmentation category and type - 3D Slicer General Anatomy list"
        "~SCT^123037004^Anatomical Structure~SCT^64033007^Kidney~^^"
        "~Anatomic codes - DICOM master list~^^~^^|"
    )
    assert read.GetMetaData("Segmentation_MasterRepresentation") == "Binary labelmap"
    assert read.GetMetaData("Segmentation_ReferenceImageExtentOffset") == "0 0 0"


def test_the_callers_image_is_not_changed(labels, written):
    assert labels.GetMetaDataKeys() == ()


def test_writing_twice_gives_the_same_bytes(labels, written, tmp_path):
    write_segmentation(labels, (KIDNEY, TUMOUR, ABSENT), tmp_path / "again.seg.nrrd")
    assert (tmp_path / "again.seg.nrrd").read_bytes() == written.read_bytes()


@pytest.mark.skipif(importlib.util.find_spec("slicer") is None, reason="needs slicer-core")
def test_slicer_reads_names_colours_terms_and_geometry(labels, written):
    done = subprocess.run(
        [sys.executable, "-c", LOAD, written], capture_output=True, text=True, check=True
    )
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert loaded["source"] == "Binary labelmap"
    kidney, tumour, absent = loaded["segments"]
    assert [s["name"] for s in loaded["segments"]] == ["Left kidney", "Zyste, größte", "Nothing"]
    assert [s["label"] for s in loaded["segments"]] == [1, 2, 3]
    assert kidney["id"] == "left_kidney"
    assert kidney["color"] == pytest.approx((0.8, 0.4, 0.2))
    assert tumour["color"] == pytest.approx((0.0, 1.0, 0.125))
    assert kidney["tag"].split("~")[2] == "SCT^64033007^Kidney"
    assert absent["ras"] == []
    assert tumour["ras"] == [pytest.approx(ras(labels, (6, 5, 4)))]
    expected = [ras(labels, (3, j, k)) for k in (1, 2) for j in (2, 3, 4)]
    assert kidney["ras"] == [pytest.approx(point) for point in expected]


def ras(image, index):
    """Return the world position of a voxel in Slicer's coordinates (RAS)."""
    left, posterior, superior = image.TransformIndexToPhysicalPoint(index)
    return -left, -posterior, superior
