"""Faults of real machines, with a real child process and a small bundle."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import slicer
import vtk

from fedcross.contract.events import ErrorEvent, ProgressEvent, ResultEvent

PARENT = """
import sys, time
sys.path[:0] = {paths!r}
from harness import services
services.provide()
from pathlib import Path
from FedCrossSlicerLib.child.request import Options, requestArguments
from FedCrossSlicerLib.child.pool import WORKERS
options = Options(device="cpu", backend="torch")
arguments = requestArguments(Path({folder!r}), Path({bundle!r}), options)
request = WORKERS.start(arguments)
while not any(type(event).__name__ in {until!r} for event in request.events()):
    time.sleep(0.02)
print(request.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def long_task(scene, temporary, bundle_folder):
    """Starts a real segmentation of several thousand patches."""
    from FedCrossSlicerLib.child.request import Options
    from FedCrossSlicerLib.tasks.segmentation import SegmentationLogic

    voxels = np.random.default_rng(0).normal(size=(90, 160, 160)).astype(np.float32)
    volume = slicer.util.addVolumeFromArray(voxels, np.diag([1.0, 2.0, 3.0, 1.0]), "Large")
    started = []

    def start(bundle=bundle_folder):
        options = Options(device="cpu", backend="torch")
        started.append(SegmentationLogic().start(volume, bundle, options))
        return started[-1]

    yield start
    for task in started:
        task.cancel()


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def wait_for_progress(task):
    def progressing():
        task.poll()
        return task.done > 0

    until(progressing)


def test_cancel_during_a_segmentation_leaves_no_process_no_node_and_no_file(
    long_task, temporary, node_ids
):
    task = long_task()
    before = node_ids()
    wait_for_progress(task)
    child = psutil.Process(task._request.pid)
    task.cancel()
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert node_ids() == before
    assert list(temporary.iterdir()) == []


def kill_worker(task):
    """Kill the worker of the task."""
    wait_for_progress(task)
    os.kill(task._request.pid, signal.SIGKILL)


def test_a_worker_killed_twice_during_a_request_raises_one_sentence(
    long_task, temporary, node_ids, end_workers
):
    from FedCrossSlicerLib.errors import InferenceError

    task = long_task()
    before = node_ids()
    kill_worker(task)
    first = task._request.pid
    until(lambda: not task.running or task._request.pid != first)
    task.done = 0
    kill_worker(task)
    until(lambda: not task.running)
    with pytest.raises(InferenceError, match="was killed"):
        task.finish()
    assert node_ids() == before
    assert list(temporary.iterdir()) == []


def test_killed_workers_do_not_change_the_result(volume, bundle_folder, temporary, end_workers):
    from FedCrossSlicerLib.child.pool import WORKERS
    from FedCrossSlicerLib.child.request import Options
    from FedCrossSlicerLib.tasks.segmentation import SegmentationLogic

    logic, options = SegmentationLogic(), Options(device="cpu", backend="torch")
    task = logic.start(volume, bundle_folder, options)
    task.wait()
    idle = task._request.pid
    expected = slicer.util.arrayFromVolume(task.finish().heat).copy()
    os.kill(idle, signal.SIGKILL)
    until(lambda: not WORKERS._idle.alive)  # it takes a while until all of its threads have ended
    again = logic.start(volume, bundle_folder, options)
    assert again._request.pid != idle
    os.kill(again._request.pid, signal.SIGKILL)
    again.wait()
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(again.finish().heat), expected)
    assert "started again" in again.log
    end_workers()
    assert list(temporary.iterdir()) == []


def test_two_segmentations_at_once_with_one_new_cache_give_the_same_result(
    volume, bundle_folder, tmp_path, monkeypatch, temporary
):
    from FedCrossSlicerLib.child.request import Options
    from FedCrossSlicerLib.tasks.segmentation import SegmentationLogic

    pytest.importorskip("openvino")
    monkeypatch.setenv("FEDCROSS_CACHE", str(tmp_path / "cache"))
    logic, options = SegmentationLogic(), Options(device="cpu", backend="openvino")
    tasks = [logic.start(volume, bundle_folder, options) for _ in range(2)]
    assert tasks[0]._request.pid != tasks[1]._request.pid
    for task in tasks:
        task.wait()
    heats = [slicer.util.arrayFromVolume(task.finish().heat).copy() for task in tasks]
    np.testing.assert_array_equal(*heats)
    assert not list((tmp_path / "cache").rglob(".partial-*"))


def test_a_bundle_deleted_while_it_is_used_raises_one_sentence(
    long_task, bundle_folder, tmp_path, temporary, end_workers
):
    from FedCrossSlicerLib.errors import InferenceError

    bundle = tmp_path / "gone soon"
    shutil.copytree(bundle_folder, bundle)
    task = long_task(bundle)
    wait_for_progress(task)
    shutil.rmtree(bundle)  # the second member has not been read yet
    until(lambda: not task.running, 300)
    with pytest.raises(InferenceError, match=r"member_1\.safetensors"):
        task.finish()
    end_workers()
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("state", "until_event"), [("idle", (ResultEvent, ErrorEvent)), ("busy", (ProgressEvent,))]
)
def test_the_worker_ends_when_slicer_is_killed(
    bundle_folder, tmp_path, long_task, loaded, state, until_event
):
    from FedCrossSlicerLib.child.request import VOLUME
    from FedCrossSlicerLib.tasks.export import exportVolume

    if state == "busy":
        exportVolume(slicer.util.getNode("Large"), tmp_path / VOLUME)
    code = PARENT.format(
        paths=[path for path in sys.path if path],
        folder=str(tmp_path),
        bundle=str(bundle_folder),
        until=[kind.__name__ for kind in until_event],
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    worker = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    assert not (tmp_path / "result").exists()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB; only root can create it."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_raises_one_sentence_and_leaves_no_file(
    small_disk, volume, bundle_folder, node_ids, monkeypatch, end_workers
):
    from FedCrossSlicerLib.child.request import Options
    from FedCrossSlicerLib.errors import InferenceError
    from FedCrossSlicerLib.tasks.segmentation import SegmentationLogic

    monkeypatch.setattr("tempfile.tempdir", str(small_disk))
    free = shutil.disk_usage(small_disk).free
    (small_disk / "filler").write_bytes(
        bytes(free - 24_576)
    )  # enough for the volume, but not for the result
    before = node_ids()
    with pytest.raises(InferenceError) as caught:
        SegmentationLogic().segment(volume, bundle_folder, Options(device="cpu", backend="torch"))
    assert "Traceback" not in str(caught.value)
    assert node_ids() == before
    end_workers()
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


def test_only_the_box_in_world_space_is_segmented(volume, transform, bundle_folder, scene):
    from FedCrossSlicerLib.child.request import Options
    from FedCrossSlicerLib.tasks.segmentation import SegmentationLogic

    volume.SetAndObserveTransformNodeID(transform.GetID())
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Box")
    center = np.zeros(3)
    bounds = [0.0] * 6
    volume.GetRASBounds(bounds)
    center = (np.array(bounds[::2]) + np.array(bounds[1::2])) / 2
    roi.SetCenterWorld(*center)
    roi.SetSizeWorld(8, 12, 10)
    options = Options(device="cpu", backend="torch")
    nodes = SegmentationLogic().segment(volume, bundle_folder, options, roi)
    heat = slicer.util.arrayFromVolume(nodes.heat)
    inside = np.argwhere(heat > 0)[:, ::-1]
    assert len(inside)
    matrix = vtk.vtkMatrix4x4()
    nodes.heat.GetIJKToRASMatrix(matrix)
    to_ras = slicer.util.arrayFromVTKMatrix(matrix)
    points = inside @ to_ras[:3, :3].T + to_ras[:3, 3]
    reach = np.abs(points - center).max(axis=0)
    assert (reach <= np.array([4, 6, 5]) + 1e-3).all()
    assert (reach > np.array([4, 6, 5]) - 3).all()  # within a voxel or two of the faces


def test_the_box_is_converted_to_lps(scene, transform):
    from FedCrossSlicerLib.scene.region import readRegion

    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Box")
    roi.SetCenter(1, 2, 3)
    roi.SetSize(4, 5, 6)
    plain = readRegion(roi)
    assert plain["center_mm"] == [-1, -2, 3]
    assert plain["size_mm"] == [4, 5, 6]
    assert np.allclose(np.abs(plain["axes"]), np.eye(3))
    roi.SetAndObserveTransformNodeID(transform.GetID())
    moved = readRegion(roi)
    assert moved["size_mm"] == pytest.approx([4, 5, 6])
    axes = np.array(moved["axes"])
    assert np.allclose(axes @ axes.T, np.eye(3), atol=1e-9)
    assert not np.allclose(np.abs(axes), np.eye(3), atol=0.1)


def test_paths_with_spaces_and_umlauts_work(
    volume, bundle_folder, tmp_path, monkeypatch, end_workers
):
    from FedCrossSlicerLib.child.request import Options
    from FedCrossSlicerLib.tasks.segmentation import SegmentationLogic

    bundle = tmp_path / "Bündel für später"
    shutil.copytree(bundle_folder, bundle)
    folder = tmp_path / "Zwischen ablage"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    options = Options(device="cpu", backend="torch")
    nodes = SegmentationLogic().segment(volume, bundle, options)
    assert nodes.segmentation.GetName() == "T2 axial segmentation"
    end_workers()
    assert list(Path(folder).iterdir()) == []
