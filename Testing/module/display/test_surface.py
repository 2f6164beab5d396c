"""The surface coloured by an uncertainty map."""

import numpy as np
import pytest
import slicer
import vtk

from fedcross.contract.measures import DEFAULT_MEASURE, LEGENDS


@pytest.fixture
def nodes(volume, result_folder):
    from FedCrossSlicerLib.tasks.load import loadResult

    return loadResult(result_folder, volume)


@pytest.fixture
def apply_options(nodes):
    from FedCrossSlicerLib.display.view import ViewOptions, show

    return lambda **options: show(nodes, ViewOptions(surface=True, **options))


def values(nodes):
    return slicer.util.arrayFromModelPointData(nodes.surface, "Uncertainty")


def fill_with_right_to_left(nodes, measure=DEFAULT_MEASURE):
    """Set each voxel of the map to its R coordinate in dm."""
    node = nodes.maps[measure]
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    toRAS = slicer.util.arrayFromVTKMatrix(matrix)
    voxels = slicer.util.arrayFromVolume(node)
    z, y, x = np.indices(voxels.shape)
    voxels[:] = (toRAS[0, 0] * x + toRAS[0, 1] * y + toRAS[0, 2] * z + toRAS[0, 3]) / 100
    slicer.util.arrayFromVolumeModified(node)


def test_each_point_has_the_maps_value_at_its_position(nodes, apply_options):
    """A map that is linear in space is interpolated exactly, on this oblique grid too."""
    fill_with_right_to_left(nodes)
    apply_options()
    points = slicer.util.arrayFromModelPoints(nodes.surface)
    np.testing.assert_allclose(values(nodes), points[:, 0] / 100, atol=1e-5)


def test_the_surface_has_the_segmentations_shape_and_the_heat_maps_colors(nodes, apply_options):
    apply_options(measure="entropy")
    assert len(values(nodes)) > 100
    display = nodes.surface.GetDisplayNode()
    assert display.GetActiveScalarName() == "Uncertainty"
    assert display.GetScalarVisibility()
    assert display.GetScalarRange() == pytest.approx((0, nodes.windowMax("entropy")), rel=1e-4)
    assert display.GetColorNode() is nodes.heat.GetDisplayNode().GetColorNode()
    segment = nodes.segmentation.GetSegmentation().GetNthSegmentID(0)
    own = vtk.vtkPolyData()
    assert nodes.segmentation.GetClosedSurfaceRepresentation(segment, own)
    np.testing.assert_allclose(nodes.surface.GetPolyData().GetBounds(), own.GetBounds(), atol=1e-5)


def test_the_region_of_the_slice_views_does_not_change_the_surface(nodes, apply_options):
    apply_options(region="everywhere")
    whole = values(nodes).copy()
    apply_options(region="inside")
    np.testing.assert_array_equal(values(nodes), whole)


def test_another_measure_gives_the_same_surface_other_values(nodes, apply_options):
    apply_options(measure="std")
    surface, before = nodes.surface.GetPolyData(), values(nodes).copy()
    apply_options(measure="variation_ratio")
    assert nodes.surface.GetPolyData() is surface
    np.testing.assert_allclose(values(nodes), before * 0.5 / 0.4, atol=1e-5)
    apply_options(measure="std")
    np.testing.assert_array_equal(values(nodes), before)


def edit_by_array(nodes):
    segment = nodes.segmentation.GetSegmentation().GetNthSegmentID(0)
    voxels = slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, segment, nodes.volume)
    voxels[1:3, 2:4, 2:5] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        voxels, nodes.segmentation, segment, nodes.volume
    )


def edit_in_place(nodes):
    segment = nodes.segmentation.GetSegmentation().GetNthSegmentID(0)
    voxels = slicer.util.arrayFromSegmentInternalBinaryLabelmap(nodes.segmentation, segment)
    voxels[:2] = 0  # (z, y, x) of the box that Slicer stores
    segments = nodes.segmentation.GetSegmentation()
    segments.GetSegment(segment).GetRepresentation(
        segments.GetSourceRepresentationName()
    ).Modified()


def add_a_segment(nodes):
    nodes.segmentation.GetSegmentation().AddEmptySegment("more", "More")
    voxels = np.zeros(slicer.util.arrayFromVolume(nodes.volume).shape, np.uint8)
    voxels[9:11, 1:3, 1:4] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        voxels, nodes.segmentation, "more", nodes.volume
    )


@pytest.mark.parametrize("edit", [edit_by_array, edit_in_place, add_a_segment])
def test_an_edited_segmentation_updates_the_surface(nodes, apply_options, edit):
    fill_with_right_to_left(nodes)
    apply_options()
    before = slicer.util.arrayFromModelPoints(nodes.surface).copy()
    edit(nodes)
    apply_options()
    points = slicer.util.arrayFromModelPoints(nodes.surface)
    assert points.shape != before.shape
    np.testing.assert_allclose(values(nodes), points[:, 0] / 100, atol=1e-5)


def test_a_removed_segment_is_removed_from_the_surface(nodes, apply_options):
    add_a_segment(nodes)
    apply_options()
    before = len(values(nodes))
    nodes.segmentation.GetSegmentation().RemoveSegment("more")
    apply_options()
    assert 0 < len(values(nodes)) < before


def test_the_segmentations_own_surface_is_hidden_and_shown_again(nodes, apply_options):
    from FedCrossSlicerLib.display.view import ViewOptions, show

    own = nodes.segmentation.GetDisplayNode()
    apply_options()
    assert not own.GetVisibility3D()
    assert nodes.surface.GetDisplayNode().GetVisibility()
    show(nodes, ViewOptions())
    assert own.GetVisibility3D()
    assert not nodes.surface.GetDisplayNode().GetVisibility()


def test_a_surface_that_the_user_hid_stays_hidden(nodes):
    from FedCrossSlicerLib.display.view import ViewOptions, show

    nodes.segmentation.GetDisplayNode().SetVisibility3D(False)
    show(nodes, ViewOptions(opacity=0.5))
    assert not nodes.segmentation.GetDisplayNode().GetVisibility3D()


def test_a_surface_that_the_user_hid_after_the_colored_one_stays_hidden(nodes, apply_options):
    from FedCrossSlicerLib.display.view import ViewOptions, show

    apply_options()
    show(nodes, ViewOptions())
    nodes.segmentation.GetDisplayNode().SetVisibility3D(False)
    show(nodes, ViewOptions(opacity=0.5))
    assert not nodes.segmentation.GetDisplayNode().GetVisibility3D()


def test_the_surfaces_legend_is_shown_in_3d_views_only(nodes, apply_options, scene):
    logic = slicer.modules.colors.logic()
    apply_options()
    assert not logic.GetColorLegendDisplayNode(nodes.surface).GetVisibility()  # no 3D view
    view = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLViewNode")
    apply_options()
    legend = logic.GetColorLegendDisplayNode(nodes.surface)
    assert legend.GetVisibility()
    assert list(legend.GetViewNodeIDs()) == [view.GetID()]
    assert legend.GetTitleText() == LEGENDS[DEFAULT_MEASURE]
    apply_options(legend=False)
    assert not legend.GetVisibility()


def test_a_segmentation_without_voxels_has_an_empty_surface(nodes, apply_options):
    segmentation = nodes.segmentation.GetSegmentation()
    segmentation.RemoveSegment(segmentation.GetNthSegmentID(0))
    apply_options()
    assert nodes.surface.GetPolyData().GetNumberOfPoints() == 0


def test_a_map_of_one_slice_can_be_interpolated(loaded):
    from FedCrossSlicerLib.display.surface import _interpolate

    values = np.array([[[0.0, 1.0], [2.0, 3.0]]], np.float32)  # (z, y, x)
    indices = np.array([[0.5, 0.5, 0.4], [-1.0, 0.0, 0.0], [1.0, 1.0, 7.0]])  # (x, y, z)
    np.testing.assert_allclose(_interpolate(values, indices), [1.5, 0.0, 3.0])


def test_the_surface_follows_a_result_that_is_moved(nodes, apply_options, transform):
    apply_options()
    before = values(nodes).copy()
    for node in nodes.owned():
        if node.IsA("vtkMRMLTransformableNode") and node is not nodes.surface:
            node.SetAndObserveTransformNodeID(transform.GetID())
    apply_options()
    bounds = [[0.0] * 6, [0.0] * 6]
    nodes.surface.GetRASBounds(bounds[0])
    nodes.segmentation.GetRASBounds(bounds[1])
    np.testing.assert_allclose(*bounds, atol=2)
    np.testing.assert_array_equal(values(nodes), before)
