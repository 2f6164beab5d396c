"""The selectors of a bundle with several channels."""

import pytest
import slicer
from panel_tools import click, foreground, until

from fedcross.contract.request import MAX_CHANNELS, parse_request


def shown(ui):
    """Number and label of every further selector that is shown."""
    return {
        number: getattr(ui, f"channel{number}Label").text
        for number in range(2, MAX_CHANNELS + 1)
        if getattr(ui, f"channel{number}Selector").visible
    }


def test_the_bundle_decides_how_many_selectors_there_are_and_names_them(
    panel, volume, two_channel_bundle
):
    ui = panel().ui
    assert (ui.inputLabel.text, shown(ui)) == ("Volume:", {})
    ui.bundleEdit.currentPath = str(two_channel_bundle)
    assert (ui.inputLabel.text, shown(ui)) == ("T2:", {2: "ADC <b>:"})
    assert "MR" in ui.bundleInfo.text
    ui.bundleEdit.currentPath = ""
    assert (ui.inputLabel.text, shown(ui)) == ("Volume:", {})


def test_apply_is_enabled_once_every_channel_has_a_volume(
    panel, volume, diffusion, two_channel_bundle
):
    ready = panel()
    ui = ready.ui
    ui.inputSelector.setCurrentNode(volume)
    assert ui.applyButton.enabled  # this bundle has one channel
    ui.bundleEdit.currentPath = str(two_channel_bundle)
    assert not ui.applyButton.enabled
    assert ui.applyButton.toolTip == "Choose a volume for ADC &lt;b&gt; first."
    ui.channel2Selector.setCurrentNode(volume)
    assert "T2 and ADC &lt;b&gt; are the same volume." in ui.fitLabel.text
    ui.channel2Selector.setCurrentNode(diffusion)
    assert ui.applyButton.enabled
    assert not ui.fitLabel.visible


def test_the_volumes_of_all_channels_reach_the_child_and_are_stored_in_the_scene(
    panel, volume, diffusion, two_channel_bundle
):
    ready = panel()
    ui = ready.ui
    ui.bundleEdit.currentPath = str(two_channel_bundle)
    ui.inputSelector.setCurrentNode(volume)
    ui.channel2Selector.setCurrentNode(diffusion)
    calls, start = [], ready.logic.start
    ready.logic.start = lambda *given: calls.append(given) or start(*given)
    click(ui.applyButton)
    until(lambda: ui.applyButton.enabled)
    assert [(given[0], given[4]) for given in calls] == [(volume, [diffusion])]
    assert ready.logic.getParameterNode().channel2 is diffusion
    assert foreground().GetName() == "T2 axial uncertainty"
    ui.bundleEdit.currentPath = ""


def test_a_bundle_of_one_channel_ignores_a_volume_chosen_for_another_bundle(
    panel, volume, diffusion, two_channel_bundle, bundle_folder
):
    ready = panel()
    ui = ready.ui
    ui.inputSelector.setCurrentNode(volume)
    ui.bundleEdit.currentPath = str(two_channel_bundle)
    ui.channel2Selector.setCurrentNode(diffusion)
    ui.bundleEdit.currentPath = str(bundle_folder)
    calls, start = [], ready.logic.start
    ready.logic.start = lambda *given: calls.append(given) or start(*given)
    click(ui.applyButton)
    until(lambda: ui.applyButton.enabled)
    assert [given[4] for given in calls] == [[]]


def test_further_volumes_are_exported_in_world_space(
    loaded, volume, diffusion, transform, temporary
):
    from FedCrossSlicerLib.errors import InferenceError
    from FedCrossSlicerLib.tasks.segmentation import SegmentationLogic

    origins = {}

    def start(arguments):
        for path in parse_request(arguments).images:
            origins[path.name] = slicer.util.loadVolume(str(path), {"show": False}).GetOrigin()
        raise InferenceError("Not today.")

    diffusion.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(InferenceError, match="Not today"):
        SegmentationLogic(start).start(volume, "bundle", further=[diffusion])
    assert list(origins) == ["volume.nrrd", "channel_2.nrrd"]
    moved = transform.GetMatrixTransformToParent().MultiplyPoint((*diffusion.GetOrigin(), 1))
    assert origins["channel_2.nrrd"] == pytest.approx(moved[:3], abs=1e-4)
    assert list(temporary.iterdir()) == []


def test_a_real_child_segments_two_channels(volume, diffusion, two_channel_bundle):
    from FedCrossSlicerLib.child.request import Options
    from FedCrossSlicerLib.errors import InferenceError
    from FedCrossSlicerLib.tasks.segmentation import SegmentationLogic

    logic, options = SegmentationLogic(), Options(backend="torch", device="cpu")
    nodes = logic.segment(volume, two_channel_bundle, options, further=[diffusion])
    heat = slicer.util.arrayFromVolume(nodes.heat)
    assert heat.shape == slicer.util.arrayFromVolume(volume).shape
    with pytest.raises(InferenceError, match=r"needs 2 images \(T2, ADC <b>\), got 1"):
        logic.segment(volume, two_channel_bundle, options)
