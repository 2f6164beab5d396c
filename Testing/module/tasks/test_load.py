"""Loading a result folder into the scene."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import vtk

from fedcross.contract.display import OPACITY
from fedcross.contract.files import (
    DISTANCE,
    OUTLINES,
    SEGMENTATION,
    SUMMARY,
    UNCERTAINTY,
    uncertainty_file,
)
from fedcross.contract.measures import MEASURES


@pytest.fixture
def presented(volume, result_folder):
    from FedCrossSlicerLib.tasks.load import loadResult

    return loadResult(result_folder, volume)


def matrix(node):
    made = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(made)
    return slicer.util.arrayFromVTKMatrix(made)


def test_the_result_is_not_added_to_slicers_recent_files(volume, result_folder, monkeypatch):
    from FedCrossSlicerLib.tasks.load import loadResult

    loaded = []
    monkeypatch.setattr(slicer.app.coreIOManager(), "loadNodes", lambda *a: loaded.append(a))
    loadResult(result_folder, volume)
    assert loaded == []


def test_other_modules_list_the_heat_map_but_no_hidden_map(presented):
    assert not presented.heat.GetHideFromEditors()
    assert len(presented.maps) > 1
    assert all(node.GetHideFromEditors() for node in presented.maps.values())


def legend_of(presented):
    return slicer.modules.colors.logic().GetColorLegendDisplayNode(presented.heat)


def labelmap(presented, volume):
    segmentID = presented.segmentation.GetSegmentation().GetNthSegmentID(0)
    return slicer.util.arrayFromSegmentBinaryLabelmap(presented.segmentation, segmentID, volume)


def test_a_segment_has_its_structures_name_color_and_code(presented):
    segmentation = presented.segmentation.GetSegmentation()
    assert segmentation.GetNumberOfSegments() == 1
    segment = segmentation.GetNthSegment(0)
    assert segment.GetName() == "Prostate"
    np.testing.assert_allclose(segment.GetColor(), (0.2, 0.8, 0.4), atol=1e-5)
    tag = vtk.reference("")
    assert segment.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), tag)
    assert "~SCT^41216001^Prostate~" in str(tag)


def test_the_segment_has_the_voxels_of_the_result(presented, volume):
    expected = slicer.util.arrayFromVolume(volume) > 200
    np.testing.assert_array_equal(labelmap(presented, volume), expected)


def test_the_segmentation_is_edited_on_the_grid_of_the_volume(presented, volume):
    reference = presented.segmentation.GetNodeReference(
        slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    )
    assert reference is volume


def test_the_uncertainty_map_has_the_volumes_geometry(presented, volume):
    np.testing.assert_allclose(matrix(presented.heat), matrix(volume), atol=1e-6)
    assert presented.heat.GetImageData().GetScalarTypeAsString() == "float"


def test_slice_views_show_the_outline_and_the_3d_view_the_surface(presented):
    display = presented.segmentation.GetDisplayNode()
    assert display.GetVisibility2DOutline()
    assert not display.GetVisibility2DFill()
    assert display.GetVisibility3D()
    assert presented.segmentation.GetSegmentation().ContainsRepresentation("Closed surface")


def test_the_heat_map_lies_over_the_volume_in_every_slice_view(presented, volume):
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert len(composites) == 3
    for composite in composites:
        assert composite.GetBackgroundVolumeID() == volume.GetID()
        assert composite.GetForegroundVolumeID() == presented.heat.GetID()
        assert composite.GetForegroundOpacity() == pytest.approx(OPACITY)


def test_the_window_is_the_measures_range_and_low_values_are_transparent(presented):
    display = presented.heat.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0.0, 0.5)
    assert display.GetApplyThreshold()
    assert display.GetLowerThreshold() == pytest.approx(0.05)
    assert display.GetColorNode().GetName() == "FedCross uncertainty"


def test_the_legend_names_the_measure(presented):
    assert legend_of(presented).GetVisibility()
    assert legend_of(presented).GetTitleText() == "Disagreement\n(std. dev.)"


def test_every_node_has_the_provenance_and_no_paths(presented, tmp_path):
    from FedCrossSlicerLib.display.view import ViewOptions, show

    show(presented, ViewOptions(surface=True))
    assert len(presented.owned()) == 12
    for node in presented.owned():
        noted = {name: node.GetAttribute(name) or "" for name in node.GetAttributeNames()}
        assert noted["FedCross.Bundle"] == "Prostate T2"
        assert noted["FedCross.BundleSHA256"] == "ab" * 32
        assert noted["FedCross.Members"] == "4"
        assert noted["FedCross.Date"] == "2026-01-31T12:00:00+00:00"
        assert noted["FedCross.Version"] == "0.1.0"
        assert json.loads(noted["FedCross.Packages"])["torch"] == "2.13.0"
        assert not any(str(tmp_path) in value for value in noted.values())
        assert node.GetStorageNode() is None


def test_a_map_has_its_measure_as_attribute(presented):
    assert list(presented.maps) == list(MEASURES)
    for measure, node in presented.maps.items():
        assert node.GetAttribute("FedCross.Measure") == measure
    assert presented.heat.GetAttribute("FedCross.Measure") == presented.measure == "std"
    assert presented.windowMax("variation_ratio") == 0.75


def test_slice_views_show_only_the_heat_map_and_no_selector_lists_the_distance(presented):
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    shown = {each.GetForegroundVolumeID() for each in composites}
    assert shown == {presented.heat.GetID()}
    assert presented.distance.GetHideFromEditors()
    assert not presented.heat.GetHideFromEditors()
    assert not presented.outlines.GetDisplayNode().GetVisibility()
    assert not presented.marker.GetDisplayNode().GetVisibility()
    assert presented.surface is None


def test_node_names_contain_the_volume_and_the_content(presented):
    assert [node.GetName().removeprefix("T2 axial ") for node in presented.owned()] == [
        "segmentation",
        "uncertainty",
        "std map",
        "entropy map",
        "mutual information map",
        "variation ratio map",
        "distance",
        "members",
        "figures",
        "hot spots",
        "hot spot",
    ]


def test_the_result_is_in_a_folder_in_the_volumes_study(volume, result_folder):
    from FedCrossSlicerLib.display.view import ViewOptions, show
    from FedCrossSlicerLib.tasks.load import loadResult

    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    patient = tree.CreateSubjectItem(tree.GetSceneItemID(), "Patient 1")
    study = tree.CreateStudyItem(patient, "Prostate MR")
    tree.SetItemParent(tree.GetItemByDataNode(volume), study)
    nodes = loadResult(result_folder, volume)
    show(nodes, ViewOptions(surface=True))
    folder = tree.GetItemChildWithName(study, "FedCross: Prostate T2")
    assert tree.GetItemLevel(folder) == "Folder"
    for node in nodes.owned():
        assert tree.GetItemParent(tree.GetItemByDataNode(node)) == folder
    nodes.remove()
    assert tree.GetItemChildWithName(study, "FedCross: Prostate T2") == tree.GetInvalidItemID()
    assert tree.GetNumberOfItemChildren(study) == 1  # the volume


def test_a_folder_with_a_node_of_the_user_is_not_removed(presented):
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    folder = tree.GetItemParent(tree.GetItemByDataNode(presented.segmentation))
    note = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", "Note")
    tree.SetItemParent(tree.GetItemByDataNode(note), folder)
    presented.remove()
    assert tree.GetItemParent(tree.GetItemByDataNode(note)) == folder


def test_a_folder_that_the_user_created_is_not_removed_with_the_result(presented):
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    own = tree.CreateFolderItem(tree.GetSceneItemID(), "My selection")
    tree.SetItemParent(tree.GetItemByDataNode(presented.segmentation), own)
    presented.remove()
    assert tree.GetItemByName("My selection") == own
    assert tree.GetItemByName("FedCross: Prostate T2") == tree.GetInvalidItemID()


def test_a_removed_result_leaves_only_the_color_table(volume, result_folder, node_ids):
    from FedCrossSlicerLib.display.heatmap import colorTable
    from FedCrossSlicerLib.display.view import ViewOptions, show
    from FedCrossSlicerLib.scene.review import Review
    from FedCrossSlicerLib.tasks.load import loadResult

    colorTable()
    before = node_ids()
    nodes = loadResult(result_folder, volume)
    show(nodes, ViewOptions(members=True, surface=True))
    Review(nodes).next()
    nodes.remove()
    assert node_ids() == before


def test_a_result_without_the_files_for_the_viewer_is_shown_too(volume, tmp_path):
    from fake_child import write_result

    from FedCrossSlicerLib.display.view import ViewOptions, show
    from FedCrossSlicerLib.tasks.export import exportVolume
    from FedCrossSlicerLib.tasks.load import loadResult

    exportVolume(volume, tmp_path / "volume.nrrd")
    write_result(tmp_path / "volume.nrrd", tmp_path / "plain", "entropy", viewer=False)
    nodes = loadResult(tmp_path / "plain", volume)
    assert list(nodes.maps) == ["entropy"]
    assert nodes.distance is None
    assert nodes.outlines is None
    show(nodes, ViewOptions(measure="std", region="inside", members=True, surface=True))
    assert nodes.measure == "entropy"
    np.testing.assert_array_equal(
        slicer.util.arrayFromVolume(nodes.heat), slicer.util.arrayFromVolume(nodes.maps["entropy"])
    )


@pytest.mark.parametrize(
    "name",
    [
        SEGMENTATION,
        UNCERTAINTY,
        uncertainty_file("entropy"),
        DISTANCE,
        OUTLINES,
        SUMMARY,
    ],
)
@pytest.mark.parametrize("how", ["missing", "broken", "cut off"])
def test_a_damaged_result_leaves_the_scene_as_it_was(presented, result_folder, node_ids, name, how):
    """The earlier result stays too."""
    from FedCrossSlicerLib.errors import InferenceError
    from FedCrossSlicerLib.tasks.load import loadResult

    path = result_folder / name
    if how == "missing":
        path.unlink()
    elif how == "broken":
        path.write_bytes(b"NRRD0004\nnot really\n")
    else:
        path.write_bytes(path.read_bytes()[:-9])
    before = node_ids()
    with pytest.raises(InferenceError):
        loadResult(result_folder, presented.volume)
    assert node_ids() == before


def test_whichever_file_fails_to_load_the_scene_is_as_it_was(
    presented, result_folder, node_ids, monkeypatch
):
    from FedCrossSlicerLib.errors import InferenceError
    from FedCrossSlicerLib.tasks import load

    read, calls = load._read, []
    before = node_ids()
    for count in range(1, 20):

        def readOrFail(node, storage, path, last=count):
            calls.append(path.name)
            return read(node, storage, path if len(calls) != last else path / "gone")

        calls.clear()
        monkeypatch.setattr(load, "_read", readOrFail)
        try:
            load.loadResult(result_folder, presented.volume)
        except InferenceError:
            assert node_ids() == before
            assert len(calls) == count
        else:
            break
    assert len(calls) == count - 1 > 5  # each file failed once


@pytest.mark.parametrize("name", [uncertainty_file("entropy"), DISTANCE])
def test_maps_of_another_size_are_refused(presented, result_folder, node_ids, name):
    from FedCrossSlicerLib.errors import InferenceError
    from FedCrossSlicerLib.tasks.load import loadResult

    image = sitk.ReadImage(str(result_folder / name))
    sitk.WriteImage(image[1:], str(result_folder / name))
    before = node_ids()
    with pytest.raises(InferenceError, match="differ in size"):
        loadResult(result_folder, presented.volume)
    assert node_ids() == before


def test_a_result_without_any_structure_is_shown(volume, tmp_path):
    from fake_child import write_result

    from FedCrossSlicerLib.display.view import ViewOptions, show
    from FedCrossSlicerLib.tasks.export import exportVolume
    from FedCrossSlicerLib.tasks.load import loadResult

    slicer.util.arrayFromVolume(volume)[:] = 100
    volume.GetImageData().Modified()
    exportVolume(volume, tmp_path / "volume.nrrd")
    write_result(tmp_path / "volume.nrrd", tmp_path / "empty", "std")
    presented = loadResult(tmp_path / "empty", volume)
    assert presented.segmentation.GetSegmentation().GetNumberOfSegments() == 1
    assert not labelmap(presented, volume).any()
    show(presented, ViewOptions(members=True, envelope=True, surface=True, region="near"))
    assert slicer.util.arrayFromVolume(presented.heat).max() == 0
