"""Segmenting one volume: export, child process, result, errors."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import vtk


def to_ras(node):
    made = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(made)
    return slicer.util.arrayFromVTKMatrix(made)


def labels_of(presented, reference):
    segment = presented.segmentation.GetSegmentation().GetNthSegmentID(0)
    return slicer.util.arrayFromSegmentBinaryLabelmap(presented.segmentation, segment, reference)


def exported(volume, tmp_path):
    from FedCrossSlicerLib.tasks.export import exportVolume

    exportVolume(volume, tmp_path / "volume.nrrd")
    return sitk.ReadImage(str(tmp_path / "volume.nrrd"))


LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def image_to_ras(image):
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) @ np.diag(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    return LPS @ matrix


def test_a_volume_is_exported_with_its_voxels_type_and_geometry(volume, tmp_path):
    image = exported(volume, tmp_path)
    np.testing.assert_array_equal(
        sitk.GetArrayFromImage(image), slicer.util.arrayFromVolume(volume)
    )
    assert image.GetPixelID() == sitk.sitkInt16
    np.testing.assert_allclose(image_to_ras(image), to_ras(volume), atol=1e-5)


def test_a_transformed_volume_is_exported_in_world_space(volume, transform, node_ids, tmp_path):
    own = to_ras(volume)
    volume.SetAndObserveTransformNodeID(transform.GetID())
    before = node_ids()
    image = exported(volume, tmp_path)
    moved = slicer.util.arrayFromTransformMatrix(transform) @ own
    np.testing.assert_allclose(image_to_ras(image), moved, atol=1e-5)
    np.testing.assert_array_equal(
        sitk.GetArrayFromImage(image), slicer.util.arrayFromVolume(volume)
    )
    assert node_ids() == before
    np.testing.assert_array_equal(to_ras(volume), own)
    assert volume.GetParentTransformNode() is transform


def test_a_volume_under_a_nonlinear_transform_is_resampled_and_not_modified(
    volume, scene, node_ids, tmp_path
):
    voxels = slicer.util.arrayFromVolume(volume).copy()
    displacement = vtk.vtkImageData()
    displacement.SetDimensions(4, 4, 4)
    displacement.SetOrigin(-100, -100, -100)
    displacement.SetSpacing(70, 70, 70)
    displacement.AllocateScalars(vtk.VTK_DOUBLE, 3)
    grid = slicer.vtkOrientedGridTransform()
    vectors = vtk.util.numpy_support.vtk_to_numpy(displacement.GetPointData().GetScalars())
    vectors[:] = np.random.default_rng(1).uniform(-4, 4, vectors.shape)
    grid.SetDisplacementGridData(displacement)
    node = scene.AddNewNodeByClass("vtkMRMLGridTransformNode")
    node.SetAndObserveTransformFromParent(grid)
    volume.SetAndObserveTransformNodeID(node.GetID())
    before = node_ids()
    image = exported(volume, tmp_path)
    assert not np.array_equal(sitk.GetArrayFromImage(image), voxels)
    assert sitk.GetArrayFromImage(image).max() > 250  # the bright block is still inside
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(volume), voxels)
    assert node_ids() == before


def test_a_volume_that_cannot_be_written_raises_one_sentence(volume, tmp_path):
    from FedCrossSlicerLib.errors import InferenceError
    from FedCrossSlicerLib.tasks.export import exportVolume

    (tmp_path / "file").touch()
    with pytest.raises(InferenceError, match=r"^T2 axial could not be exported: its file cannot"):
        exportVolume(volume, tmp_path / "file" / "volume.nrrd")


def test_an_error_of_the_child_process_speaks_of_the_volumes_own_names(volume, scene, temporary):
    from FedCrossSlicerLib.errors import InferenceError
    from FedCrossSlicerLib.tasks.segmentation import SegmentationLogic

    class Refused:
        running, log = False, ""

        def events(self):
            return []

        def cancel(self):
            pass

        def check(self):
            raise InferenceError("channel_2.nrrd does not overlap volume.nrrd.", "DataError", "l")

    second = slicer.modules.volumes.logic().CloneVolume(scene, volume, "ADC")
    task = SegmentationLogic(lambda arguments: Refused()).start(volume, "bundle", further=[second])
    with pytest.raises(InferenceError, match=r"^ADC does not overlap T2 axial\.$") as caught:
        task.finish()
    assert (caught.value.kind, caught.value.log) == ("DataError", "l")
    assert list(temporary.iterdir()) == []


def test_the_result_is_shown_and_the_temporary_files_are_removed(fake, volume, temporary):
    progress_calls = []
    presented = fake("good").segment(
        volume,
        "bundle",
        progress=lambda done, total, stage: progress_calls.append((done, total, stage)),
    )
    expected = slicer.util.arrayFromVolume(volume) > 200
    np.testing.assert_array_equal(labels_of(presented, volume), expected)
    assert (3, 12, "ensemble") in progress_calls
    assert list(temporary.iterdir()) == []


def test_the_result_of_a_transformed_volume_lies_in_world_space(fake, volume, transform, temporary):
    own = to_ras(volume)
    volume.SetAndObserveTransformNodeID(transform.GetID())
    presented = fake("good").segment(volume, "bundle")
    moved = slicer.util.arrayFromTransformMatrix(transform) @ own
    np.testing.assert_allclose(to_ras(presented.heat), moved, atol=1e-5)
    assert presented.heat.GetParentTransformNode() is None
    assert presented.segmentation.GetParentTransformNode() is None
    segment = presented.segmentation.GetSegmentation().GetNthSegment(0)
    bright = np.argwhere(slicer.util.arrayFromVolume(volume) > 200)[:, ::-1]  # i, j, k
    corners = np.array([bright.min(0) - 0.5, bright.max(0) + 0.5])
    world = [
        (moved @ (corners[a, 0], corners[b, 1], corners[c, 2], 1))[:3]
        for a in (0, 1)
        for b in (0, 1)
        for c in (0, 1)
    ]
    bounds = np.zeros(6)
    segment.GetRepresentation("Closed surface").GetBounds(bounds)
    expected = np.stack([np.min(world, 0), np.max(world, 0)], 1).ravel()
    np.testing.assert_allclose(bounds, expected, atol=2.0)  # the surface is smoothed


@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [
        ("sorry", r"^There is no bundle\. Choose one\.$"),
        ("garbage", r"^The segmentation process ended without a result\.$"),
        ("crash", r"^The segmentation process stopped \(code 1\): .*No module named 'torch'\.$"),
        ("half", r"^uncertainty\.nrrd is not a NRRD file\.$"),
        ("no-summary", r"^The result has no summary: No such file or directory\.$"),
    ],
)
def test_a_child_that_fails_raises_one_sentence_and_leaves_nothing(
    fake, volume, temporary, node_ids, behaviour, sentence
):
    from FedCrossSlicerLib.errors import InferenceError

    before = node_ids()
    with pytest.raises(InferenceError, match=sentence) as caught:
        fake(behaviour).segment(volume, "bundle")
    assert "\n" not in str(caught.value)
    assert node_ids() == before
    assert list(temporary.iterdir()) == []


def test_a_child_that_cannot_be_started_raises_one_sentence_and_leaves_nothing(
    volume, temporary, monkeypatch, node_ids
):
    from FedCrossSlicerLib.child import command
    from FedCrossSlicerLib.errors import InferenceError
    from FedCrossSlicerLib.tasks.segmentation import SegmentationLogic

    monkeypatch.setattr(command, "childPython", lambda: str(temporary / "no-python"))
    before = node_ids()
    with pytest.raises(InferenceError, match="could not be started"):
        SegmentationLogic().segment(volume, "bundle")
    assert node_ids() == before
    assert list(temporary.iterdir()) == []


def wait_for_grandchild(task):
    """Wait for the fake child's own child process and return its process number."""
    end = time.monotonic() + 20
    while not task.message.isdigit():
        assert time.monotonic() < end
        task.poll()
        time.sleep(0.02)
    return int(task.message)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_cancel_leaves_no_process_no_node_and_no_file(fake, volume, temporary, node_ids):
    before = node_ids()
    task = fake("slow").start(volume, "bundle")
    grandchild = wait_for_grandchild(task)
    assert (task.done, task.total) == (0, 0)
    task.cancel()
    end = time.monotonic() + 5
    while _alive(grandchild) and time.monotonic() < end:
        time.sleep(0.02)
    assert not _alive(grandchild)
    assert not task.running
    assert node_ids() == before
    assert list(temporary.iterdir()) == []


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_volume_removed_during_the_segmentation_raises_one_sentence(
    fake, volume, scene, temporary
):
    from FedCrossSlicerLib.errors import InferenceError

    task = fake("good").start(volume, "bundle")
    scene.RemoveNode(volume)
    task.wait()
    with pytest.raises(InferenceError, match="volume was removed"):
        task.finish()
    assert list(temporary.iterdir()) == []


def test_a_volume_without_one_value_per_voxel_is_refused(fake, scene):
    from FedCrossSlicerLib.errors import InferenceError

    empty, hollow = (scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode") for _ in range(2))
    hollow.SetAndObserveImageData(vtk.vtkImageData())
    colored = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode")
    image = vtk.vtkImageData()
    image.SetDimensions(5, 6, 7)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
    colored.SetAndObserveImageData(image)
    for refused in (None, empty, hollow, colored):
        with pytest.raises(InferenceError, match="Choose a volume that has an image"):
            fake("good").start(refused, "bundle")


# The real child process with a tiny ensemble.


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    import torch

    from fedcross.model.architecture import UNetArchitecture
    from fedcross.model.bundle import write_bundle
    from fedcross.model.networks import build_network, initialise

    architecture = UNetArchitecture(base_channels=2, classes=2, norm="batch")
    weights = []
    for member in range(3):
        network = build_network(architecture)
        initialise(network, torch.Generator().manual_seed(member))
        weights.append(network.state_dict())
    manifest = {
        "name": "Tiny",
        "architecture": architecture.model_dump(),
        "preprocessing": {"spacing_mm": (1.0, 2.0, 3.0), "patch_size": (32, 32, 16)},
        "structures": [{"name": "Prostate", "label": 1, "color": (0.2, 0.8, 0.4)}],
        "provenance": {"created": "2026-01-31"},
    }
    return write_bundle(tmp_path_factory.mktemp("bundles") / "tïny", manifest, weights).path


@pytest.fixture
def real(loaded, monkeypatch):
    from FedCrossSlicerLib.child.request import Options
    from FedCrossSlicerLib.tasks.segmentation import SegmentationLogic

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return lambda volume, bundle: SegmentationLogic().segment(
        volume, bundle, Options(device="cpu", precision="fp32")
    )


def test_the_real_child_segments_a_moved_volume_in_the_same_way(
    real, bundle, volume, transform, temporary, end_workers
):
    plain = real(volume, bundle)
    own = to_ras(volume)
    np.testing.assert_allclose(to_ras(plain.heat), own, atol=1e-5)
    heat = slicer.util.arrayFromVolume(plain.heat).copy()
    assert plain.members == 3
    assert heat.max() > 0
    volume.SetAndObserveTransformNodeID(transform.GetID())
    moved = real(volume, bundle)
    expected = slicer.util.arrayFromTransformMatrix(transform) @ own
    np.testing.assert_allclose(to_ras(moved.heat), expected, atol=1e-5)
    np.testing.assert_allclose(slicer.util.arrayFromVolume(moved.heat), heat, atol=1e-6)
    end_workers()
    assert list(temporary.iterdir()) == []


def test_the_real_childs_error_reaches_the_user(real, volume, tmp_path, node_ids):
    from FedCrossSlicerLib.errors import InferenceError

    before = node_ids()
    with pytest.raises(InferenceError) as caught:
        real(volume, tmp_path / "no bundle")
    assert caught.value.kind == "BundleError"
    assert "no bundle" in str(caught.value)
    assert node_ids() == before


def requested(volume):
    """Whether a request for a volume asks for what DICOM files need."""
    from fedcross.contract.request import parse_request
    from FedCrossSlicerLib.errors import InferenceError
    from FedCrossSlicerLib.tasks.segmentation import SegmentationLogic

    asked = []

    def start(arguments):
        asked.append(parse_request(arguments).for_dicom)
        raise InferenceError("a test")

    with pytest.raises(InferenceError, match="a test"):
        SegmentationLogic(start).start(volume, "bundle")
    return asked[0]


def test_probabilities_for_dicom_are_requested_only_for_the_voxels_of_a_series(volume, transform):
    assert not requested(volume)
    volume.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    assert requested(volume)
    volume.SetAndObserveTransformNodeID(transform.GetID())
    assert not requested(volume)


def test_probabilities_for_dicom_are_not_requested_for_a_time_point(volume, scene):
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode")
    sequence.SetDataNodeAtValue(volume, "0")
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    slicer.modules.sequences.logic().UpdateAllProxyNodes()
    proxy = browser.GetProxyNode(sequence)
    proxy.SetAttribute("DICOM.instanceUIDs", "1.2.3")
    assert not requested(proxy)
