"""Telling an edited segmentation from what the ensemble said."""

import numpy as np
import pytest
import slicer


@pytest.fixture
def nodes(volume, result_folder):
    from FedCrossSlicerLib.tasks.load import loadResult

    return loadResult(result_folder, volume)


@pytest.fixture
def edited(nodes):
    from FedCrossSlicerLib.scene.edits import isEdited

    return lambda: isEdited(nodes)


def voxels_of(nodes):
    return slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, "prostate", nodes.volume)


def put(nodes, voxels, segment="prostate"):
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        voxels, nodes.segmentation, segment, nodes.volume
    )


def test_as_presented_nothing_was_edited(edited):
    assert not edited()


@pytest.mark.parametrize(
    ("where", "value"),
    [((4, 6, 8), 0), ((5, 8, 10), 0), ((0, 0, 0), 1), ((11, 19, 27), 1), ((8, 10, 10), 1)],
    ids=["a corner", "a hole", "far before", "far behind", "a bump"],
)
def test_one_voxel_makes_the_difference_and_its_undoing_none(nodes, edited, where, value):
    voxels = voxels_of(nodes)
    before, voxels[where] = voxels[where], value
    assert before != value
    put(nodes, voxels)
    assert edited()
    voxels[where] = before
    put(nodes, voxels)
    assert not edited()


def test_a_shift_of_the_same_shape_is_an_edit(nodes, edited):
    put(nodes, np.roll(voxels_of(nodes), 1, axis=2))
    assert edited()


def test_a_removed_and_an_added_segment_are_edits(nodes, edited):
    nodes.segmentation.GetSegmentation().AddEmptySegment("more", "More")
    assert edited()
    nodes.segmentation.GetSegmentation().RemoveSegment("more")
    assert not edited()
    nodes.segmentation.GetSegmentation().RemoveSegment("prostate")
    assert edited()


def test_an_emptied_segment_is_an_edit(nodes, edited):
    put(nodes, np.zeros_like(voxels_of(nodes)))
    assert edited()


def test_names_colors_views_and_the_surface_are_no_edits(nodes, edited):
    segment = nodes.segmentation.GetSegmentation().GetSegment("prostate")
    segment.SetName("Prostatadrüse")
    segment.SetColor(1, 0, 0)
    nodes.segmentation.GetDisplayNode().SetVisibility(False)
    nodes.segmentation.CreateClosedSurfaceRepresentation()
    nodes.segmentation.RemoveClosedSurfaceRepresentation()
    assert not edited()


def test_the_same_voxels_in_another_layer_are_no_edit(nodes, edited):
    """Slicer puts segments into layers of their own, and together again, as it likes."""
    nodes.segmentation.GetSegmentation().SeparateSegmentLabelmap("prostate")
    put(nodes, voxels_of(nodes))
    assert not edited()
    nodes.segmentation.GetSegmentation().CollapseBinaryLabelmaps(True)
    assert not edited()


@pytest.mark.parametrize("edit", [False, True])
def test_it_is_still_known_after_the_scene_was_saved_and_opened(nodes, scene, tmp_path, edit):
    from FedCrossSlicerLib.scene.edits import isEdited
    from FedCrossSlicerLib.scene.nodes import ResultNodes

    if edit:
        voxels = voxels_of(nodes)
        voxels[4, 6, 8] = 0
        put(nodes, voxels)
    slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    scene.Clear(False)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    (opened,) = ResultNodes.all(scene)
    assert isEdited(opened) == edit


def test_what_is_kept_for_another_reason_counts_as_edited(nodes, edited):
    from FedCrossSlicerLib.scene.edits import KEPT

    nodes.segmentation.SetAttribute(KEPT, "sequence")
    assert edited()
