"""A result in the scene."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import vtk


@pytest.fixture
def presented(volume, result_folder):
    from FedCrossSlicerLib.presentation import present

    return present(result_folder, volume)


def matrix(node):
    made = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(made)
    return slicer.util.arrayFromVTKMatrix(made)


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


def test_the_segment_lies_on_the_voxels_it_was_found_in(presented, volume):
    expected = slicer.util.arrayFromVolume(volume) > 200
    np.testing.assert_array_equal(labelmap(presented, volume), expected)


def test_the_segmentation_can_be_edited_on_the_inputs_own_grid(presented, volume):
    reference = presented.segmentation.GetNodeReference(
        slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    )
    assert reference is volume


def test_the_uncertainty_map_has_the_inputs_geometry(presented, volume):
    np.testing.assert_allclose(matrix(presented.heat), matrix(volume), atol=1e-6)
    assert presented.heat.GetImageData().GetScalarTypeAsString() == "float"


def test_the_outline_is_seen_in_slices_and_the_surface_in_3d(presented):
    display = presented.segmentation.GetDisplayNode()
    assert display.GetVisibility2DOutline()
    assert not display.GetVisibility2DFill()
    assert display.GetVisibility3D()
    assert presented.segmentation.GetSegmentation().ContainsRepresentation("Closed surface")


def test_the_heat_map_covers_the_input_in_every_slice_view(presented, volume):
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert len(composites) == 3
    for composite in composites:
        assert composite.GetBackgroundVolumeID() == volume.GetID()
        assert composite.GetForegroundVolumeID() == presented.heat.GetID()
        assert composite.GetForegroundOpacity() == pytest.approx(0.65)


def test_the_window_is_the_measures_range_and_low_values_are_left_out(presented):
    display = presented.heat.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0.0, 0.5)
    assert display.GetApplyThreshold()
    assert display.GetLowerThreshold() == pytest.approx(0.05)
    assert display.GetColorNode().GetName() == "FedCross uncertainty"


def test_the_legend_names_the_measure(presented):
    assert legend_of(presented).GetVisibility()
    assert legend_of(presented).GetTitleText() == "Disagreement\n(std. dev.)"


def test_provenance_is_noted_without_paths(presented, tmp_path):
    for node in (presented.segmentation, presented.heat):
        noted = {name: node.GetAttribute(name) for name in node.GetAttributeNames()}
        assert noted["FedCross.Bundle"] == "Prostate T2"
        assert noted["FedCross.BundleSHA256"] == "ab" * 32
        assert noted["FedCross.Measure"] == "std"
        assert noted["FedCross.Date"] == "2026-01-31T12:00:00+00:00"
        assert noted["FedCross.Version"] == "0.1.0"
        assert json.loads(noted["FedCross.Packages"])["torch"] == "2.13.0"
        assert not any(str(tmp_path) in value for value in noted.values())


@pytest.mark.parametrize("name", ["segmentation.seg.nrrd", "uncertainty.nrrd", "summary.json"])
@pytest.mark.parametrize("how", ["missing", "broken"])
def test_a_damaged_result_leaves_the_scene_as_it_was(volume, result_folder, node_ids, name, how):
    from FedCrossSlicerLib.errors import InferenceError
    from FedCrossSlicerLib.presentation import present

    if how == "missing":
        (result_folder / name).unlink()
    else:
        (result_folder / name).write_bytes(b"NRRD0004\nnot really\n")
    before = node_ids()
    with pytest.raises(InferenceError):
        present(result_folder, volume)
    assert node_ids() == before


def test_a_volume_in_which_nothing_was_found_is_shown_all_the_same(volume, tmp_path):
    from fake_child import write_result

    from FedCrossSlicerLib.export import exportVolume
    from FedCrossSlicerLib.presentation import present

    slicer.util.arrayFromVolume(volume)[:] = 100
    volume.GetImageData().Modified()
    exportVolume(volume, tmp_path / "volume.nrrd")
    write_result(tmp_path / "volume.nrrd", tmp_path / "empty", "std")
    presented = present(tmp_path / "empty", volume)
    assert presented.segmentation.GetSegmentation().GetNumberOfSegments() == 1
    assert not labelmap(presented, volume).any()


def test_a_scene_saved_and_opened_again_is_the_same(presented, volume, scene, can_draw, tmp_path):
    label_before, heat_before = (
        labelmap(presented, volume),
        slicer.util.arrayFromVolume(presented.heat).copy(),
    )
    view = slicer.app.views["Red"]
    view.fit()
    view.save(tmp_path / "before.png")
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    names = (presented.segmentation.GetName(), presented.heat.GetName())
    scene.Clear(False)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))

    segmentation, heat = (slicer.util.getNode(name) for name in names)
    opened = slicer.util.getNode("T2 axial")
    segment = segmentation.GetSegmentation().GetNthSegmentID(0)
    again = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment, opened)
    np.testing.assert_array_equal(again, label_before)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(heat), heat_before)
    assert heat.GetAttribute("FedCross.BundleSHA256") == "ab" * 32
    assert heat.GetDisplayNode().GetColorNode().GetNumberOfColors() == 256
    legend = slicer.modules.colors.logic().GetColorLegendDisplayNode(heat)
    assert legend.GetTitleText() == "Disagreement\n(std. dev.)"
    view.save(tmp_path / "after.png")
    # An .mrml keeps directions with fewer digits than memory does: a few edge pixels waver.
    difference = np.abs(pixels(tmp_path / "after.png") - pixels(tmp_path / "before.png"))
    assert difference.max() <= 3
    assert (difference > 0).mean() < 1e-3


def pixels(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype(int)
