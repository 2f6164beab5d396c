"""The layers of the slice views: what a result changes there, and what it leaves as it is."""

import pytest
import slicer
from panel_tools import segment


@pytest.fixture
def other(scene, volume):
    """Another volume: a second channel, or the next patient."""
    return slicer.util.addVolumeFromArray(slicer.util.arrayFromVolume(volume).copy(), name="Other")


def composites():
    return slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")


def layers():
    """Names of background and foreground of each view."""
    scene = slicer.mrmlScene
    nodes = [
        [
            scene.GetNodeByID(identifier or "")
            for identifier in (each.GetBackgroundVolumeID(), each.GetForegroundVolumeID())
        ]
        for each in composites()
    ]
    return [tuple(node.GetName() if node else "" for node in pair) for pair in nodes]


HEAT = ("T2 axial", "T2 axial uncertainty")


def test_opening_the_panel_leaves_the_layers_that_the_user_chose(panel, widget, volume, other):
    segment(panel(), volume)
    assert layers() == [HEAT] * 3
    widget.exit()
    first, second, third = composites()
    first.SetForegroundVolumeID(other.GetID())
    second.SetForegroundVolumeID(None)
    third.SetBackgroundVolumeID(other.GetID())
    third.SetForegroundOpacity(0.125)
    before = layers()
    widget.enter()
    assert layers() == before
    assert third.GetForegroundOpacity() == 0.125
    panel().ui.opacitySlider.value = 0.25  # now the user asks for the heat map
    assert layers() == [HEAT, HEAT, before[2]]


def test_the_heat_map_of_a_deleted_volume_lies_over_no_other_volume(panel, widget, volume, other):
    ready = segment(panel(), volume)
    slicer.mrmlScene.RemoveNode(volume)
    slicer.util.setSliceViewerLayers(background=other, foreground=None)
    ready.ui.opacitySlider.value = 0.25
    assert layers() == [("Other", "")] * 3


def test_a_new_result_leaves_a_view_of_another_volume(panel, widget, volume, other):
    slicer.util.setSliceViewerLayers(background=volume)
    composites()[1].SetBackgroundVolumeID(other.GetID())
    composites()[2].SetBackgroundVolumeID(None)
    segment(panel(), volume)
    assert layers() == [HEAT, ("Other", ""), HEAT]


def test_a_volume_in_a_hidden_view_only_is_shown_in_all_views(panel, widget, volume, other):
    views = slicer.util.getNodesByClass("vtkMRMLSliceNode")
    slicer.util.setSliceViewerLayers(background=other)
    composites()[0].SetBackgroundVolumeID(volume.GetID())
    hidden = composites()[0].GetLayoutName()
    for view in views:
        view.SetMappedInLayout(view.GetLayoutName() != hidden)
    segment(panel(), volume)
    for view in views:
        view.SetMappedInLayout(False)
    assert layers() == [HEAT] * 3


def test_a_result_that_arrives_while_another_module_is_open_looks_as_the_panel_says(
    panel, widget, volume
):
    from panel_tools import click, until

    ready = panel()
    ready.logic.getParameterNode().showHeat = False
    ready.ui.inputSelector.setCurrentNode(volume)
    click(ready.ui.applyButton)
    widget.exit()
    until(lambda: ready.ui.statusLabel.text.startswith("Done: "))
    assert layers() == [("T2 axial", "")] * 3
    widget.enter()
    assert layers() == [("T2 axial", "")] * 3
