"""Several results in one scene: repeated, of two bundles, of two volumes, of an added scene."""

import json

import numpy as np
import pytest
import slicer
from panel_tools import until

from fedcross.contract.display import OPACITY
from fedcross.contract.files import SUMMARY


@pytest.fixture
def make(scene, tmp_path):
    """Loads a result of a volume and of a bundle with a given hash."""
    from fake_child import write_result

    from FedCrossSlicerLib.tasks.export import exportVolume
    from FedCrossSlicerLib.tasks.load import loadResult

    def present_it(volume, sha256="ab" * 32):
        folder = tmp_path / f"{volume.GetName()} {sha256[:4]}"
        if not folder.exists():
            exportVolume(volume, tmp_path / "volume.nrrd")
            write_result(tmp_path / "volume.nrrd", folder, "std")
            summary = json.loads((folder / SUMMARY).read_text())
            summary["bundle"]["sha256"] = sha256
            (folder / SUMMARY).write_text(json.dumps(summary))
        return loadResult(folder, volume)

    return present_it


def paint(nodes):
    """Add one voxel at the corner to the first segment."""
    segment = nodes.segmentation.GetSegmentation().GetNthSegmentID(0)
    voxels = slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, segment, nodes.volume)
    voxels[0, 0, 0] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        voxels, nodes.segmentation, segment, nodes.volume
    )


def results():
    from FedCrossSlicerLib.scene.nodes import ResultNodes

    return ResultNodes.all(slicer.mrmlScene)


def test_segmenting_again_replaces_the_earlier_result(make, volume, node_ids):
    first = make(volume)
    names = [node.GetName() for node in first.owned()]
    count = len(node_ids())
    second = make(volume)
    assert [node.GetName() for node in second.owned()] == names
    assert len(node_ids()) == count
    assert results() == [second]


def test_an_edited_result_is_not_replaced(make, volume):
    first = make(volume)
    paint(first)
    second = make(volume)
    assert results() == [first, second]
    assert first.name == "T2 axial segmentation"
    assert second.name == "T2 axial segmentation_1"
    names = [node.GetName() for nodes in (first, second) for node in nodes.owned()]
    assert len(set(names)) == len(names)
    third = make(volume)  # the user has not changed the second result
    assert results() == [first, third]
    assert third.name == "T2 axial segmentation_1"


def test_a_result_with_marked_hot_spots_is_not_replaced(make, volume):
    from FedCrossSlicerLib.scene.hotspots import State
    from FedCrossSlicerLib.scene.review import Review

    first = make(volume)
    Review(first).mark(1, State.REVIEWED)
    second = make(volume)
    assert results() == [first, second]
    assert Review(first).progress == (1, 2)
    assert Review(second).progress == (0, 2)


def test_the_result_of_another_bundle_is_not_replaced(make, volume):
    first, second = make(volume), make(volume, "cd" * 32)
    assert results() == [first, second]
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    folders = {
        tree.GetItemParent(tree.GetItemByDataNode(nodes.segmentation)) for nodes in (first, second)
    }
    assert len(folders) == 2


def test_two_results_share_only_the_color_table(make, volume):
    first, second = make(volume), make(volume, "cd" * 32)
    assert not set(first.owned()) & set(second.owned())
    tables = {nodes.heat.GetDisplayNode().GetColorNodeID() for nodes in (first, second)}
    assert len(tables) == 1


def test_displaying_one_result_does_not_change_the_other(make, volume):
    from FedCrossSlicerLib.display.view import ViewOptions, show
    from FedCrossSlicerLib.scene.review import Review

    first, second = make(volume), make(volume, "cd" * 32)
    before = slicer.util.arrayFromVolume(first.heat).copy()
    show(second, ViewOptions(measure="entropy", region="inside", surface=True, members=True))
    Review(second).go(1)
    assert first.measure == "std"
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(first.heat), before)
    assert first.surface is None
    assert first.segmentation.GetDisplayNode().GetVisibility3D()
    assert not first.outlines.GetDisplayNode().GetVisibility()
    assert Review(first).current is None


def composites():
    return slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")


def test_two_volumes_side_by_side_have_their_own_maps(make, volume):
    from FedCrossSlicerLib.display.view import ViewOptions, show

    other = slicer.util.addVolumeFromArray(slicer.util.arrayFromVolume(volume).copy(), name="Other")
    first, second = make(volume), make(other)
    left, right, _third = composites()
    left.SetBackgroundVolumeID(volume.GetID())
    show(first, ViewOptions(opacity=0.4))
    assert left.GetForegroundVolumeID() == first.heat.GetID()
    assert left.GetForegroundOpacity() == pytest.approx(0.4)
    assert right.GetForegroundVolumeID() == second.heat.GetID()
    assert right.GetForegroundOpacity() == pytest.approx(OPACITY)
    show(second, ViewOptions(heat=False))
    assert left.GetForegroundVolumeID() == first.heat.GetID()
    assert right.GetForegroundVolumeID() is None


def test_a_result_whose_volume_is_not_displayed_is_shown_in_all_slice_views(make, volume):
    from FedCrossSlicerLib.display.view import ViewOptions, show

    other = slicer.util.addVolumeFromArray(slicer.util.arrayFromVolume(volume).copy(), name="Other")
    first, _second = make(volume), make(other)
    show(first, ViewOptions())
    for composite in composites():
        assert composite.GetBackgroundVolumeID() == volume.GetID()
        assert composite.GetForegroundVolumeID() == first.heat.GetID()


def test_removing_one_result_does_not_change_the_other(make, volume):
    first, second = make(volume), make(volume, "cd" * 32)
    first.remove()
    assert results() == [second]
    assert len(second.owned()) == 11
    assert second.heat.GetDisplayNode().GetColorNode() is not None


def test_a_scene_added_to_itself_has_two_results_with_separate_nodes(make, volume, tmp_path):
    make(volume)
    slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.app.coreIOManager().loadNodes(
        "SceneFile", {"fileName": str(tmp_path / "scene.mrb"), "clear": False}, None
    )
    first, second = results()
    assert first.volume is not second.volume
    assert [len(each.owned()) for each in (first, second)] == [11, 11]
    assert not set(first.owned()) & set(second.owned())
    second.remove()
    assert len(first.owned()) == 11


def test_deleted_nodes_are_skipped(make, volume):
    from FedCrossSlicerLib.display.view import ViewOptions, show
    from FedCrossSlicerLib.scene.figures import readFigures
    from FedCrossSlicerLib.scene.review import Review

    nodes = make(volume)
    options = ViewOptions(members=True, surface=True, region="near")
    for node in nodes.owned()[1:]:
        slicer.mrmlScene.RemoveNode(node)
        show(nodes, options)
    review = Review(nodes)
    review.next()
    assert (review.spots, review.current, review.progress) == ([], None, (0, 0))
    assert readFigures(nodes.figures) == []
    nodes.remove()
    assert results() == []


def test_deleting_the_volume_keeps_the_result(make, volume):
    from FedCrossSlicerLib.display.view import ViewOptions, show

    nodes = make(volume)
    slicer.mrmlScene.RemoveNode(volume)
    assert nodes.volume is None
    show(nodes, ViewOptions(measure="entropy"))
    assert nodes.measure == "entropy"


def test_a_clone_of_a_segmentation_is_not_a_result_and_owns_no_nodes(make, volume):
    from FedCrossSlicerLib.scene.nodes import ResultNodes

    nodes = make(volume)
    clone = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    clone.Copy(nodes.segmentation)
    clone.SetName("Before editing")
    assert clone.GetNodeReferenceID("FedCross.heat") == nodes.heat.GetID()
    assert ResultNodes.of(clone) is None
    assert results() == [nodes]
    paint(nodes)
    second = make(volume)
    assert results() == [nodes, second]
    assert len(nodes.owned()) == 11
    assert clone.GetScene() is slicer.mrmlScene


def test_the_hidden_maps_of_a_deleted_segmentation_are_removed(make, volume, widget, node_ids):
    nodes, other = make(volume), make(volume, "b" * 64)
    visible = [nodes.heat, nodes.outlines, nodes.figures, nodes.hotSpots]
    hidden = {node.GetID() for node in (*nodes.maps.values(), nodes.distance)}
    remaining = {node.GetID() for node in (*visible, *other.owned(), volume)}
    slicer.mrmlScene.RemoveNode(nodes.segmentation)
    until(lambda: not hidden & node_ids(), 5)
    assert remaining <= node_ids()
    assert len(other.owned()) == 11


def test_a_scene_saved_without_some_maps_still_shows_the_others(make, volume):
    from FedCrossSlicerLib.display.view import ViewOptions, show

    nodes = make(volume)
    for node in (*nodes.maps.values(), nodes.distance):
        node.SetAndObserveImageData(None)
    assert nodes.maps == {}
    assert nodes.distance is None
    show(nodes, ViewOptions(members=True, surface=True, region="near", measure="entropy"))
    assert nodes.heat.GetImageData() is not None


def test_a_color_table_that_was_not_saved_is_created_again(make, volume):
    from FedCrossSlicerLib.display.heatmap import colorTable

    table = make(volume).heat.GetDisplayNode().GetColorNode()
    assert not table.GetHideFromEditors()  # Slicer's save dialog omits hidden nodes
    before = [table.GetLookupTable().GetTableValue(index) for index in range(256)]
    table.SetNumberOfColors(0)
    table.SetNumberOfColors(256)
    assert not any(table.GetLookupTable().GetTableValue(255)[:3])
    assert colorTable() is table
    assert [table.GetLookupTable().GetTableValue(index) for index in range(256)] == before


def test_other_segmentations_are_not_results(make, volume):
    from FedCrossSlicerLib.scene.nodes import ResultNodes

    nodes = make(volume)
    assert ResultNodes.of(nodes.segmentation) == nodes
    assert ResultNodes.of(nodes.outlines) is None
    assert ResultNodes.of(None) is None
    plain = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    assert ResultNodes.of(plain) is None
