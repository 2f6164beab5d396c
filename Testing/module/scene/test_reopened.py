"""A saved scene has the same nodes and pixels when another process opens it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import slicer

from harness import reopened

SCRIPT = Path(reopened.__file__)


def pixels(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[..., :3].astype(int)


@pytest.fixture
def straight(scene):
    """A volume with an axis-aligned grid, whose geometry the scene file stores exactly."""
    voxels = np.random.default_rng(4).normal(100, 5, (12, 20, 28)).astype(np.int16)
    voxels[4:8, 6:14, 8:20] = 300
    return slicer.util.addVolumeFromArray(voxels, np.diag([-1.0, -2.0, 3.0, 1.0]), "T2 straight")


def presented(volume, folder):
    from fake_child import write_result

    from FedCrossSlicerLib.tasks.export import exportVolume
    from FedCrossSlicerLib.tasks.load import loadResult

    exportVolume(volume, folder / "volume.nrrd")
    write_result(folder / "volume.nrrd", folder / "result", "std")
    return loadResult(folder / "result", volume)


def open_elsewhere(nodes, folder):
    """Draw and save the scene, and open and draw it in another process; return the facts of both."""
    for name, view in slicer.app.views.items():
        view.save(folder / f"{name}.png")
    before = [json.loads(json.dumps(reopened.facts(each))) for each in nodes]
    assert slicer.util.saveScene(str(folder / "scene.mrb"))
    again = folder / "again"
    again.mkdir()
    command = [sys.executable, str(SCRIPT), str(folder / "scene.mrb"), str(again)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return before, json.loads((again / "facts.json").read_text())


def differing(folder, name):
    """Share of the pixels that differ, and share of the pixels that are not black."""
    before, after = pixels(folder / f"{name}.png"), pixels(folder / "again" / f"{name}.png")
    return (before != after).any(axis=-1).mean(), (before > 0).any(axis=-1).mean()


def test_an_opened_scene_has_the_same_nodes_and_the_same_pixels(straight, can_draw, tmp_path):
    from FedCrossSlicerLib.display.view import ViewOptions, show
    from FedCrossSlicerLib.scene.hotspots import State
    from FedCrossSlicerLib.scene.review import Review

    nodes = presented(straight, tmp_path)
    options = ViewOptions(
        measure="entropy", region="near", members=True, envelope=True, surface=True
    )
    show(nodes, options)
    for view in slicer.app.views.values():
        view.fit()
    review = Review(nodes)
    review.mark(1, State.CORRECTED)
    review.go(1)
    # Where the marker's text overlaps outlines, the order in which VTK added them decides.
    nodes.marker.GetDisplayNode().SetVisibility(False)
    before, after = open_elsewhere([nodes], tmp_path)
    assert after == before
    assert "corrected" in json.dumps(after)
    for name in slicer.app.views:
        different, drawn = differing(tmp_path, name)
        assert drawn > 0.1
        assert different == 0


def test_the_pixels_of_an_oblique_volume_differ_only_at_edges(volume, can_draw, tmp_path):
    """Slicer saves a slice's position with six digits, so pixels at an edge may change."""
    nodes = presented(volume, tmp_path)
    for view in slicer.app.views.values():
        view.fit()
    before, after = open_elsewhere([nodes], tmp_path)
    assert after == before
    for name in slicer.app.views:
        different, drawn = differing(tmp_path, name)
        assert drawn > 0.1
        assert different < 1e-3


def test_a_result_without_hot_spots_can_be_opened_again(straight, can_draw, tmp_path):
    from FedCrossSlicerLib.scene.hotspots import newHotSpots

    nodes = presented(straight, tmp_path)
    slicer.mrmlScene.RemoveNode(nodes.hotSpots)
    nodes.attach("hotSpots", newHotSpots("T2 straight hot spots", ()))
    before, after = open_elsewhere([nodes], tmp_path)
    assert after[0].keys() == before[0].keys()
    assert (
        after[0]["T2 straight hot spots"]["content"]
        == before[0]["T2 straight hot spots"]["content"]
    )
