"""The inner and the outer contour of a calibrated result: segments, colours, pixels."""

import numpy as np
import pytest
import SimpleITK as sitk
import slicer


@pytest.fixture
def nodes(loaded, volume, tmp_path):
    from fake_child import write_result

    from FedCrossSlicerLib.tasks.export import exportVolume
    from FedCrossSlicerLib.tasks.load import loadResult

    exportVolume(volume, tmp_path / "volume.nrrd")
    write_result(tmp_path / "volume.nrrd", tmp_path / "result", "std", calibrated=True)
    return loadResult(tmp_path / "result", volume)


@pytest.fixture
def apply_options(nodes):
    """Displays the result with options."""
    from FedCrossSlicerLib.display.view import ViewOptions, show

    return lambda **options: show(nodes, ViewOptions(heat=False, **options))


def shown(nodes):
    """IDs of the contours that are displayed."""
    display = nodes.contours.GetDisplayNode()
    return {
        segment
        for segment in nodes.contours.GetSegmentation().GetSegmentIDs()
        if display.GetVisibility() and display.GetSegmentVisibility(segment)
    }


def test_the_contours_are_part_of_the_result_and_shown_from_the_start(nodes):
    assert nodes.contours.GetName() == "T2 axial contours"
    assert nodes.contours in nodes.owned()
    assert shown(nodes) == {"inner_10_prostate", "outer_10_prostate"}
    display = nodes.contours.GetDisplayNode()
    assert (display.GetVisibility3D(), display.GetVisibility2DFill()) == (0, 0)


def test_the_share_of_error_decides_which_contours_are_shown(nodes, apply_options):
    apply_options(contourPercent=5)
    assert shown(nodes) == {"inner_5_prostate", "outer_5_prostate"}
    apply_options(contours=False)
    assert shown(nodes) == set()


def test_the_contours_are_in_3d_only_on_request(nodes, apply_options):
    display = nodes.contours.GetDisplayNode()
    apply_options(contoursIn3D=True)
    assert display.GetVisibility3D()
    surface = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    segment = nodes.contours.GetSegmentation().GetSegment("outer_10_prostate")
    assert segment.GetRepresentation(surface).GetNumberOfPoints() > 0
    assert display.GetSegmentOpacity3D("outer_10_prostate") < 0.5
    apply_options()
    assert not display.GetVisibility3D()
    apply_options(contours=False, contoursIn3D=True)
    assert not display.GetVisibility3D()


def test_the_same_settings_twice_modify_no_node(nodes, apply_options):
    apply_options(contourPercent=5, contoursIn3D=True)
    watched = [nodes.contours.GetDisplayNode(), nodes.contours.GetSegmentation()]
    before = [each.GetMTime() for each in watched]
    apply_options(contourPercent=5, contoursIn3D=True)
    assert [each.GetMTime() for each in watched] == before


def test_the_legend_says_what_is_guaranteed(nodes):
    from FedCrossSlicerLib.display.contours import COLORS, INNER, OUTER, guarantees

    assert guarantees(nodes.contours, 5) == [
        (COLORS[INNER], "inner: at most 5 % of the inner contour is not the structure"),
        (COLORS[OUTER], "outer: the outer contour misses at most 5 % of the structure"),
    ]


def test_the_legend_names_only_contours_that_exist(nodes):
    from FedCrossSlicerLib.display.contours import guarantees

    segments = nodes.contours.GetSegmentation()
    segments.RemoveSegment("inner_5_prostate")
    ((_color, text),) = guarantees(nodes.contours, 5)
    assert text.startswith("outer: ")
    segments.RemoveSegment("outer_5_prostate")
    ((_color, text),) = guarantees(nodes.contours, 5)
    assert text == "no contours for 5 %: too few cases in the calibration"


def test_both_lines_are_drawn_in_their_colors(nodes, apply_options, can_draw, tmp_path):
    from FedCrossSlicerLib.display.contours import COLORS

    nodes.segmentation.GetDisplayNode().SetVisibility(False)
    view = slicer.app.views["Red"]
    view.fit()

    def count():
        view.save(tmp_path / "view.png")
        pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "view.png")))[..., :3]
        return [
            int((np.abs(pixels - 255 * np.array(color)).max(axis=-1) < 40).sum())
            for color in COLORS.values()
        ]

    apply_options()
    inner, outer = count()
    assert 50 < inner < outer
    apply_options(contours=False)
    assert count() == [0, 0]


def test_a_result_without_contours_is_shown_as_before(loaded, volume, result_folder):
    from FedCrossSlicerLib.tasks.load import loadResult

    assert loadResult(result_folder, volume).contours is None


def test_the_contours_are_found_again_in_a_saved_scene(nodes, scene, tmp_path):
    from FedCrossSlicerLib.scene.figures import readFamiliarity, readFigures
    from FedCrossSlicerLib.scene.nodes import ResultNodes

    figures, familiarity = readFigures(nodes.figures), readFamiliarity(nodes.figures)
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    scene.Clear(False)
    slicer.util.loadScene(path)
    (again,) = ResultNodes.all(scene)
    assert shown(again) == {"inner_10_prostate", "outer_10_prostate"}
    assert readFigures(again.figures) == figures
    assert readFamiliarity(again.figures) == familiarity
    assert familiarity.isUnusual
