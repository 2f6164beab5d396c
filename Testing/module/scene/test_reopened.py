"""A scene that was saved and is opened in another process shows and knows the same."""

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
    """A volume whose grid is that of the world, so that no digit is lost in the scene's file."""
    voxels = np.random.default_rng(4).normal(100, 5, (12, 20, 28)).astype(np.int16)
    voxels[4:8, 6:14, 8:20] = 300
    return slicer.util.addVolumeFromArray(voxels, np.diag([-1.0, -2.0, 3.0, 1.0]), "T2 straight")


def presented(volume, folder):
    from fake_child import write_result

    from FedCrossSlicerLib.scene.export import exportVolume
    from FedCrossSlicerLib.tasks.load import loadResult

    exportVolume(volume, folder / "volume.nrrd")
    write_result(folder / "volume.nrrd", folder / "result", "std")
    return loadResult(folder / "result", volume)


def open_elsewhere(nodes, folder):
    """Draw, save, open in a process of its own and draw again; return (before, after) of the facts."""
    for name, view in slicer.app.views.items():
        view.save(folder / f"{name}.png")
    told = [json.loads(json.dumps(reopened.facts(each))) for each in nodes]
    assert slicer.util.saveScene(str(folder / "scene.mrb"))
    again = folder / "again"
    again.mkdir()
    command = [sys.executable, str(SCRIPT), str(folder / "scene.mrb"), str(again)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return told, json.loads((again / "facts.json").read_text())


def differing(folder, name):
    """Share of the pixels that differ, and of those that are not black."""
    before, after = pixels(folder / f"{name}.png"), pixels(folder / "again" / f"{name}.png")
    return (before != after).any(axis=-1).mean(), (before > 0).any(axis=-1).mean()


def test_everything_is_known_and_every_pixel_is_the_same(straight, can_draw, tmp_path):
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
    # Where the marker's text lies over outlines, the order in which they were added decides.
    nodes.marker.GetDisplayNode().SetVisibility(False)
    before, after = open_elsewhere([nodes], tmp_path)
    assert after == before
    assert "corrected" in json.dumps(after)
    for name in slicer.app.views:
        different, drawn = differing(tmp_path, name)
        assert drawn > 0.1
        assert different == 0


def test_an_oblique_volume_wavers_at_edges_only(volume, can_draw, tmp_path):
    """Slicer writes a slice's place with six digits: what lies on an edge may fall aside."""
    nodes = presented(volume, tmp_path)
    for view in slicer.app.views.values():
        view.fit()
    before, after = open_elsewhere([nodes], tmp_path)
    assert after == before
    for name in slicer.app.views:
        different, drawn = differing(tmp_path, name)
        assert drawn > 0.1
        assert different < 1e-3


def test_a_result_without_any_hot_spot_is_opened_again_too(straight, can_draw, tmp_path):
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
