"""Volumes that the writer of NRRD files does not take as they are."""

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import vtk
from vtk.util import numpy_support

from fedcross.volumes.files.read import read_volume

LPS = np.diag([-1.0, -1.0, 1.0])


@pytest.fixture
def exported(loaded, tmp_path):
    from FedCrossSlicerLib.tasks.export import exportVolume

    def export(volume):
        exportVolume(volume, tmp_path / "volume.nrrd")
        return read_volume(tmp_path / "volume.nrrd")

    return export


def node_of(scene, values):
    """A volume node with voxels of any type; `slicer.util` takes no integers of 64 bits."""
    image = vtk.vtkImageData()
    image.SetDimensions(*values.shape[::-1])
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(values.ravel(), deep=True))
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "T2 axial")
    node.SetAndObserveImageData(image)
    return node


@pytest.mark.parametrize(
    ("dtype", "ends", "written"),
    [
        (np.int8, (-128, 127), sitk.sitkInt16),
        (np.int64, (-30_000, 30_000), sitk.sitkInt16),
        (np.uint64, (0, 2**31 - 1), sitk.sitkInt32),
        (np.int64, (-(2**40), 2**40), sitk.sitkFloat64),
        (np.uint32, (0, 2**32 - 1), sitk.sitkUInt32),
    ],
)
def test_integers_of_every_type_are_exported_with_their_values(
    scene, node_ids, exported, dtype, ends, written
):
    values = np.linspace(*ends, 6 * 5 * 4).astype(dtype).reshape(6, 5, 4)
    values.flat[0], values.flat[-1] = ends
    node = node_of(scene, values)
    before = node_ids()
    image = exported(node)
    assert image.GetPixelID() == written
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), values)
    assert node_ids() == before
    assert node.GetImageData().GetNumberOfPoints() == values.size


def sheared(scene, amount):
    matrix = np.eye(4)
    matrix[0, 1], matrix[:3, 3] = amount, (400.0, -30.0, 7.0)
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    return transform, matrix


def test_a_sheared_volume_is_resampled_to_right_angles_in_its_place(scene, node_ids, exported):
    k, j, i = np.mgrid[:12, :14, :10].astype(np.float64)
    node = node_of(scene, 100 + 3 * i + 2 * j - 4 * k)
    node.SetSpacing(1.5, 1.0, 3.0)
    node.SetOrigin(5.0, 6.0, -7.0)
    transform, matrix = sheared(scene, 0.4)
    own = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(own)
    old = matrix @ slicer.util.arrayFromVTKMatrix(own)
    node.SetAndObserveTransformNodeID(transform.GetID())
    before = node_ids()
    image = exported(node)
    assert node_ids() == before
    assert node.GetParentTransformNode() is transform
    axes = np.reshape(image.GetDirection(), (3, 3))
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-6)
    values = sitk.GetArrayFromImage(image)
    indices = np.stack(np.mgrid[tuple(slice(n) for n in values.shape)])[::-1].reshape(3, -1)
    points = axes * image.GetSpacing() @ indices + np.array(image.GetOrigin())[:, None]
    places = np.linalg.inv(old) @ np.vstack([LPS @ points, np.ones(points.shape[1])])
    inside = ((places[:3] >= 0) & (places[:3] <= np.array([[9], [13], [11]]))).all(axis=0)
    expected = 100 + 3 * places[0] + 2 * places[1] - 4 * places[2]
    assert inside.sum() > 0.7 * node.GetImageData().GetNumberOfPoints()
    np.testing.assert_allclose(values.ravel()[inside], expected[inside], atol=1e-4)


def test_the_whole_of_a_sheared_volume_is_kept(scene, exported):
    values = np.zeros((6, 7, 8))
    values[[0, 0, -1, -1], [0, -1, 0, -1], [0, -1, -1, 0]] = 50  # four corners
    node = node_of(scene, values)
    node.SetAndObserveTransformNodeID(sheared(scene, 0.5)[0].GetID())
    found = sitk.GetArrayFromImage(exported(node))
    assert found.sum() == pytest.approx(values.sum(), rel=0.35)
    assert sitk.GetArrayFromImage(exported(node)).size < 3 * values.size


def test_axes_that_nearly_coincide_are_refused_in_one_sentence(scene, node_ids, exported):
    from FedCrossSlicerLib.errors import InferenceError

    node = node_of(scene, np.zeros((6, 7, 8)))
    node.SetAndObserveTransformNodeID(sheared(scene, 100.0)[0].GetID())
    before = node_ids()
    with pytest.raises(InferenceError, match=r"^T2 axial could not be exported: its axes"):
        exported(node)
    assert node_ids() == before
