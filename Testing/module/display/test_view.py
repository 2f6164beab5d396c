"""How a result is displayed: arrays, display nodes and pixels."""

import time

import numpy as np
import pytest
import SimpleITK as sitk
import slicer

from fedcross.contract.files import intersection_segment, member_segment, union_segment
from fedcross.contract.measures import DEFAULT_MEASURE, LEGENDS, MEASURES


@pytest.fixture
def nodes(volume, result_folder):
    from FedCrossSlicerLib.tasks.load import loadResult

    return loadResult(result_folder, volume)


@pytest.fixture
def apply_options(nodes):
    """Displays the result with options."""
    from FedCrossSlicerLib.display.view import ViewOptions, show

    return lambda **options: show(nodes, ViewOptions(**options))


@pytest.fixture
def picture(nodes, can_draw, tmp_path):
    """Draws the axial view."""
    view = slicer.app.views["Red"]
    view.fit()

    def draw():
        view.save(tmp_path / "view.png")
        return sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "view.png")))[..., :3].astype(
            int
        )

    return draw


def array(node):
    return slicer.util.arrayFromVolume(node)


@pytest.mark.parametrize("measure", MEASURES)
def test_each_measure_has_its_own_range_and_legend_title(nodes, apply_options, measure):
    apply_options(measure=measure, threshold=0.2)
    np.testing.assert_array_equal(array(nodes.heat), array(nodes.maps[measure]))
    assert nodes.measure == measure
    display = nodes.heat.GetDisplayNode()
    assert display.GetWindowLevelMin() == 0
    assert display.GetWindowLevelMax() == pytest.approx(nodes.windowMax(measure), rel=1e-4)
    assert display.GetLowerThreshold() == pytest.approx(0.2 * nodes.windowMax(measure), rel=1e-4)
    legend = slicer.modules.colors.logic().GetColorLegendDisplayNode(nodes.heat)
    assert legend.GetTitleText() == LEGENDS[measure]


def test_the_region_inside_has_values_only_within_the_structures(nodes, apply_options, volume):
    apply_options(region="inside")
    inside = array(volume) > 200
    values = array(nodes.maps[DEFAULT_MEASURE])
    assert values[inside].max() > 0
    assert values[~inside].max() > 0
    np.testing.assert_array_equal(array(nodes.heat), np.where(inside, values, 0))


def test_the_region_near_has_values_up_to_the_margin(nodes, apply_options, volume):
    """Voxels are 1 x 2 x 3 mm: 4 mm reach four columns, two rows and one slice beyond the block."""
    apply_options(region="near", marginMm=4.0)
    shown = array(nodes.heat) > 0
    z, y, x = np.argwhere(shown).T
    assert (z.min(), z.max()) == (4 - 1, 7 + 1)
    assert y.min() == 6 - 2  # the map itself ends in the middle of the block
    assert (x.min(), x.max()) == (8 - 4, 19 + 4)


def test_the_largest_margin_excludes_voxels_that_are_farther(nodes, apply_options):
    array(nodes.distance)[0, 0, 0] = 255
    apply_options(region="near", marginMm=1000)
    assert array(nodes.heat)[0, 0, 0] == 0
    assert array(nodes.maps[DEFAULT_MEASURE])[0, 0, 0] > 0
    assert array(nodes.heat)[0, 0, 1] > 0


def test_the_complete_maps_never_change(nodes, apply_options):
    before = {measure: array(node).copy() for measure, node in nodes.maps.items()}
    for measure in MEASURES:
        apply_options(measure=measure, region="inside")
        apply_options(measure=measure, region="near", marginMm=3)
    for measure, node in nodes.maps.items():
        np.testing.assert_array_equal(array(node), before[measure])


def test_after_a_region_the_whole_map_can_be_shown_again(nodes, apply_options):
    apply_options(region="inside")
    apply_options()
    np.testing.assert_array_equal(array(nodes.heat), array(nodes.maps[DEFAULT_MEASURE]))


def test_the_same_settings_twice_modify_no_node(nodes, apply_options):
    options = {"region": "near", "members": True, "envelope": True, "surface": True}
    apply_options(**options)
    watched = [nodes.heat.GetImageData(), nodes.surface.GetPolyData(), nodes.heat.GetDisplayNode()]
    before = [each.GetMTime() for each in watched]
    count = slicer.mrmlScene.GetNumberOfNodes()
    apply_options(**options)
    assert [each.GetMTime() for each in watched] == before
    assert slicer.mrmlScene.GetNumberOfNodes() == count


def test_a_change_of_the_region_modifies_the_heat_node_once(nodes, apply_options):
    events = []
    nodes.heat.AddObserver("ModifiedEvent", lambda *_: events.append(1))
    apply_options(region="inside", measure="entropy")
    assert len(events) == 1


def test_every_change_is_fast_on_a_volume_of_a_real_size(scene, tmp_path):
    """A T2 volume of the prostate has about 320 x 320 x 40 voxels; the user must not notice a delay."""
    from fake_child import write_result

    from FedCrossSlicerLib.display.view import ViewOptions, show
    from FedCrossSlicerLib.tasks.export import exportVolume
    from FedCrossSlicerLib.tasks.load import loadResult

    voxels = np.full((40, 320, 320), 100, np.int16)
    voxels[10:30, 120:200, 110:210] = 300
    volume = slicer.util.addVolumeFromArray(voxels, name="Large")
    exportVolume(volume, tmp_path / "volume.nrrd")
    write_result(tmp_path / "volume.nrrd", tmp_path / "result", "std")
    large = loadResult(tmp_path / "result", volume)
    for options in (
        {"measure": "entropy"},
        {"region": "near"},
        {"members": True},
        {"opacity": 0.2},
    ):
        began = time.perf_counter()
        show(large, ViewOptions(**options))
        assert time.perf_counter() - began < 0.5


def test_the_colors_are_the_chosen_ones_or_the_modules_own(nodes, apply_options):
    chosen = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", "Chosen")
    chosen.SetTypeToGrey()
    apply_options(colors=chosen, surface=True)
    assert nodes.heat.GetDisplayNode().GetColorNode() is chosen
    assert nodes.surface.GetDisplayNode().GetColorNode() is chosen
    apply_options()
    assert nodes.heat.GetDisplayNode().GetColorNode().GetName() == "FedCross uncertainty"


def test_a_missing_measure_is_replaced_by_the_requested_one(nodes, apply_options):
    apply_options(measure="entropy")
    apply_options(measure="energy")
    assert nodes.measure == "std"


def test_without_the_heat_map_its_legend_is_hidden_too(nodes, apply_options, picture):
    def warm():
        pixels = picture()
        return int((pixels[..., 0] - pixels[..., 2] > 60).sum())

    apply_options()
    assert warm() > 1000
    apply_options(heat=False)
    assert warm() == 0
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert all(composite.GetForegroundVolumeID() is None for composite in composites)
    apply_options(opacity=0.3)
    assert composites[0].GetForegroundOpacity() == pytest.approx(0.3)


def test_without_a_legend_the_view_shows_no_text(nodes, apply_options, picture):
    nodes.segmentation.GetDisplayNode().SetVisibility(False)

    def letters():
        return int((picture()[200:, 220:].min(axis=-1) > 180).sum())

    apply_options(legend=True)
    assert letters() > 10
    apply_options(legend=False)
    assert letters() == 0


def test_below_the_threshold_the_heat_map_is_transparent(nodes, apply_options, picture):
    """The map has the values 0.4 and 0, and its range is 0.5: 0.7 of it is below 0.4, 0.9 is above."""
    nodes.segmentation.GetDisplayNode().SetVisibility(False)
    apply_options(heat=False)
    bare = picture()
    apply_options(threshold=0.9, legend=False)
    np.testing.assert_array_equal(picture(), bare)
    apply_options(threshold=0.7, legend=False)
    assert (picture() != bare).any(axis=-1).mean() > 0.05


def test_without_a_threshold_voxels_of_value_0_are_transparent(nodes, apply_options, picture):
    nodes.segmentation.GetDisplayNode().SetVisibility(False)
    apply_options(heat=False)
    bare = picture()
    apply_options(threshold=0.0, legend=False, region="inside")
    share = (picture() != bare).any(axis=-1).mean()
    assert 0.01 < share < 0.25


def hue(pixels, color, tolerance=40):
    return int((np.abs(pixels - np.round(np.array(color) * 255)).max(axis=-1) <= tolerance).sum())


def test_each_member_is_outlined_in_its_own_color(nodes, apply_options, picture):
    from FedCrossSlicerLib.display.colors import memberColors

    nodes.segmentation.GetDisplayNode().SetVisibility(False)
    apply_options(heat=False)
    third, fourth = memberColors(4)[2:]  # the two members that differ from the ensemble
    assert hue(picture(), fourth) == 0
    apply_options(heat=False, members=True)
    pixels = picture()
    assert hue(pixels, third) > 20
    assert hue(pixels, fourth) > 20
    apply_options(heat=False)
    assert hue(picture(), fourth) == 0


def test_the_envelope_shows_only_the_intersection_and_the_union(nodes, apply_options):
    apply_options(envelope=True)
    display = nodes.outlines.GetDisplayNode()
    shown = {
        each
        for each in nodes.outlines.GetSegmentation().GetSegmentIDs()
        if display.GetSegmentVisibility(each)
    }
    assert shown == {intersection_segment("prostate"), union_segment("prostate")}
    assert display.GetVisibility()
    apply_options(members=True)
    assert display.GetSegmentVisibility(member_segment(2, "prostate"))
    assert not display.GetSegmentVisibility(union_segment("prostate"))


def test_outlines_are_shown_in_slice_views_only(nodes, apply_options):
    apply_options(members=True, envelope=True)
    assert not nodes.outlines.GetDisplayNode().GetVisibility3D()
    assert not nodes.outlines.GetDisplayNode().GetVisibility2DFill()
