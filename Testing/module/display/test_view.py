"""How a result is looked at: arrays, display nodes and pixels."""

import time

import numpy as np
import pytest
import SimpleITK as sitk
import slicer

MEASURES = ["std", "entropy", "mutual_information", "variation_ratio"]


@pytest.fixture
def nodes(volume, result_folder):
    from FedCrossSlicerLib.tasks.load import loadResult

    return loadResult(result_folder, volume)


@pytest.fixture
def look(nodes):
    """Looks at the result with options."""
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
def test_a_measures_map_is_shown_over_its_own_range_under_its_own_title(nodes, look, measure):
    from FedCrossSlicerLib.display.heatmap import legendTitle

    look(measure=measure, threshold=0.2)
    np.testing.assert_array_equal(array(nodes.heat), array(nodes.maps[measure]))
    assert nodes.measure == measure
    display = nodes.heat.GetDisplayNode()
    assert display.GetWindowLevelMin() == 0
    assert display.GetWindowLevelMax() == pytest.approx(nodes.windowMax(measure), rel=1e-4)
    assert display.GetLowerThreshold() == pytest.approx(0.2 * nodes.windowMax(measure), rel=1e-4)
    legend = slicer.modules.colors.logic().GetColorLegendDisplayNode(nodes.heat)
    assert legend.GetTitleText() == legendTitle(measure) != measure


def test_inside_keeps_the_map_within_the_structures_alone(nodes, look, volume):
    look(region="inside")
    inside = array(volume) > 200
    values = array(nodes.maps["std"])
    assert values[inside].max() > 0
    assert values[~inside].max() > 0
    np.testing.assert_array_equal(array(nodes.heat), np.where(inside, values, 0))


def test_near_keeps_what_is_not_farther_than_the_margin(nodes, look, volume):
    """Voxels are 1 x 2 x 3 mm: 4 mm reach four columns, two rows and one slice beyond the block."""
    look(region="near", marginMm=4.0)
    shown = array(nodes.heat) > 0
    z, y, x = np.argwhere(shown).T
    assert (z.min(), z.max()) == (4 - 1, 7 + 1)
    assert y.min() == 6 - 2  # the map itself ends in the middle of the block
    assert (x.min(), x.max()) == (8 - 4, 19 + 4)


def test_a_margin_as_wide_as_can_be_still_leaves_out_what_is_farther(nodes, look):
    array(nodes.distance)[0, 0, 0] = 255
    look(region="near", marginMm=1000)
    assert array(nodes.heat)[0, 0, 0] == 0
    assert array(nodes.maps["std"])[0, 0, 0] > 0
    assert array(nodes.heat)[0, 0, 1] > 0


def test_the_measures_maps_are_never_changed(nodes, look):
    before = {measure: array(node).copy() for measure, node in nodes.maps.items()}
    for measure in MEASURES:
        look(measure=measure, region="inside")
        look(measure=measure, region="near", marginMm=3)
    for measure, node in nodes.maps.items():
        np.testing.assert_array_equal(array(node), before[measure])


def test_back_from_a_region_the_whole_map_is_there_again(nodes, look):
    look(region="inside")
    look()
    np.testing.assert_array_equal(array(nodes.heat), array(nodes.maps["std"]))


def test_looking_twice_in_the_same_way_changes_nothing(nodes, look):
    options = {"region": "near", "members": True, "envelope": True, "surface": True}
    look(**options)
    watched = [nodes.heat.GetImageData(), nodes.surface.GetPolyData(), nodes.heat.GetDisplayNode()]
    before = [each.GetMTime() for each in watched]
    count = slicer.mrmlScene.GetNumberOfNodes()
    look(**options)
    assert [each.GetMTime() for each in watched] == before
    assert slicer.mrmlScene.GetNumberOfNodes() == count


def test_a_change_of_the_region_is_told_once(nodes, look):
    heard = []
    nodes.heat.AddObserver("ModifiedEvent", lambda *_: heard.append(1))
    look(region="inside", measure="entropy")
    assert len(heard) == 1


def test_every_change_is_instant_on_a_volume_of_a_real_size(scene, tmp_path):
    """320 x 320 x 40 voxels, as a prostate's T2: well below what is felt as waiting."""
    from fake_child import write_result

    from FedCrossSlicerLib.display.view import ViewOptions, show
    from FedCrossSlicerLib.scene.export import exportVolume
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


def test_colors_are_those_that_were_chosen_or_our_own(nodes, look):
    chosen = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", "Chosen")
    chosen.SetTypeToGrey()
    look(colors=chosen, surface=True)
    assert nodes.heat.GetDisplayNode().GetColorNode() is chosen
    assert nodes.surface.GetDisplayNode().GetColorNode() is chosen
    look()
    assert nodes.heat.GetDisplayNode().GetColorNode().GetName() == "FedCross uncertainty"


def test_a_measure_that_was_not_delivered_gives_way_to_the_one_that_was_asked_for(nodes, look):
    look(measure="entropy")
    look(measure="energy")
    assert nodes.measure == "std"


def test_switched_off_the_map_and_its_legend_are_gone(nodes, look, picture):
    def warm():
        pixels = picture()
        return int((pixels[..., 0] - pixels[..., 2] > 60).sum())

    look()
    assert warm() > 1000
    look(heat=False)
    assert warm() == 0
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert all(composite.GetForegroundVolumeID() is None for composite in composites)
    look(opacity=0.3)
    assert composites[0].GetForegroundOpacity() == pytest.approx(0.3)


def test_without_legend_there_are_no_letters(nodes, look, picture):
    nodes.segmentation.GetDisplayNode().SetVisibility(False)

    def letters():
        return int((picture()[200:, 220:].min(axis=-1) > 180).sum())

    look(legend=True)
    assert letters() > 10
    look(legend=False)
    assert letters() == 0


def test_below_the_threshold_the_image_shows_through(nodes, look, picture):
    """The map holds 0.4 of 0.5 or nothing: a threshold of 0.7 of the range keeps it, 0.9 hides it."""
    nodes.segmentation.GetDisplayNode().SetVisibility(False)
    look(heat=False)
    bare = picture()
    look(threshold=0.9, legend=False)
    np.testing.assert_array_equal(picture(), bare)
    look(threshold=0.7, legend=False)
    assert (picture() != bare).any(axis=-1).mean() > 0.05


def test_without_threshold_what_is_certain_is_still_clear(nodes, look, picture):
    nodes.segmentation.GetDisplayNode().SetVisibility(False)
    look(heat=False)
    bare = picture()
    look(threshold=0.0, legend=False, region="inside")
    share = (picture() != bare).any(axis=-1).mean()
    assert 0.01 < share < 0.25


def hue(pixels, color, tolerance=40):
    return int((np.abs(pixels - np.round(np.array(color) * 255)).max(axis=-1) <= tolerance).sum())


def test_members_are_outlined_each_in_its_color(nodes, look, picture):
    from FedCrossSlicerLib.display.colors import memberColors

    nodes.segmentation.GetDisplayNode().SetVisibility(False)
    look(heat=False)
    third, fourth = memberColors(4)[2:]  # the two that see it otherwise
    assert hue(picture(), fourth) == 0
    look(heat=False, members=True)
    pixels = picture()
    assert hue(pixels, third) > 20
    assert hue(pixels, fourth) > 20
    look(heat=False)
    assert hue(picture(), fourth) == 0


def test_the_envelope_is_the_intersection_and_the_union_alone(nodes, look):
    look(envelope=True)
    display = nodes.outlines.GetDisplayNode()
    shown = {
        each
        for each in nodes.outlines.GetSegmentation().GetSegmentIDs()
        if display.GetSegmentVisibility(each)
    }
    assert shown == {"intersection_prostate", "union_prostate"}
    assert display.GetVisibility()
    look(members=True)
    assert display.GetSegmentVisibility("member_2_prostate")
    assert not display.GetSegmentVisibility("union_prostate")


def test_outlines_are_seen_in_slices_only(nodes, look):
    look(members=True, envelope=True)
    assert not nodes.outlines.GetDisplayNode().GetVisibility3D()
    assert not nodes.outlines.GetDisplayNode().GetVisibility2DFill()
