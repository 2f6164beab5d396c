"""The panel, with the mouse."""

import time

import numpy as np
import pytest
import slicer
from PySide6 import QtCore, QtTest


@pytest.fixture
def widget(loaded, scene):
    """The module's panel, entered; left again afterwards."""
    representation = loaded.widgetRepresentation()
    representation.resize(420, 330)
    representation.show()
    representation.enter()
    yield representation
    representation.self().panel.cancel()
    representation.exit()
    representation.self().ui.bundleEdit.currentPath = ""


@pytest.fixture
def panel(widget, fake):
    """The panel with a child in a given mood, and packages in place."""
    panel = widget.self().panel
    kept = panel.logic.start, panel._ensureInstalled, panel._installed

    def prepare(mood="good", installed=True):
        panel.logic.start = fake(mood).start
        panel._ensureInstalled = lambda ask: installed
        panel._installed = False
        panel.ui.bundleEdit.currentPath = "bundle"
        return panel

    yield prepare
    panel.cancel()
    panel.logic.start, panel._ensureInstalled, panel._installed = kept


def click(button):
    QtTest.QTest.mouseClick(button, QtCore.Qt.LeftButton)


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        slicer.app.processEvents()
        time.sleep(0.01)


def test_apply_waits_for_a_volume_and_a_bundle(widget, volume):
    ui = widget.self().ui
    ui.inputSelector.setCurrentNode(None)
    assert not ui.applyButton.enabled
    ui.inputSelector.setCurrentNode(volume)
    assert not ui.applyButton.enabled
    ui.bundleEdit.currentPath = "bundle"
    assert ui.applyButton.enabled
    assert not ui.cancelButton.enabled


def test_the_volume_on_view_is_preselected(loaded, scene, volume):
    other = slicer.util.addVolumeFromArray(np.zeros((3, 3, 3)), name="On view")
    slicer.util.setSliceViewerLayers(background=other)
    widget = loaded.widgetRepresentation()
    widget.enter()
    assert widget.self().ui.inputSelector.currentNode() is other
    widget.exit()


def test_what_is_chosen_is_kept_in_the_scene(widget, volume):
    from FedCrossSlicerLib.parameters import Device, Measure

    ui = widget.self().ui
    ui.inputSelector.setCurrentNode(volume)
    ui.deviceCombo.currentText = Device.CPU.label()
    ui.measureCombo.currentText = Measure.ENTROPY.label()
    widget.exit()
    parameters = widget.self().logic.getParameterNode()
    assert (parameters.inputVolume, parameters.device) == (volume, Device.CPU)
    assert parameters.measure is Measure.ENTROPY
    widget.enter()
    assert ui.measureCombo.currentText == Measure.ENTROPY.label()


def test_the_bundles_path_is_not_kept_in_the_scene(widget, volume):
    ui = widget.self().ui
    ui.bundleEdit.currentPath = "/home/somebody/bundle"
    node = widget.self().logic.getParameterNode().parameterNode
    kept = [node.GetParameter(name) for name in node.GetParameterNames()]
    assert not any("somebody" in value for value in kept)


def test_apply_segments_with_the_chosen_options_and_tells_the_figures(panel, widget, volume):
    from FedCrossSlicerLib.parameters import Measure

    ui = panel().ui
    ui.inputSelector.setCurrentNode(volume)
    ui.measureCombo.currentText = Measure.ENTROPY.label()
    click(ui.applyButton)
    assert not ui.applyButton.enabled
    assert ui.cancelButton.enabled
    assert ui.progressBar.visible
    until(lambda: ui.applyButton.enabled)
    assert ui.statusLabel.text == "Prostate: 31.2 mL (members 29.8 to 33.0 mL)"
    assert not ui.progressBar.visible
    heat = slicer.mrmlScene.GetFirstNodeByName("T2 axial uncertainty")
    assert heat.GetAttribute("FedCross.Measure") == "entropy"
    assert ui.bundleEdit.history[-1] == "bundle"


def test_progress_and_stage_are_shown_while_the_panel_stays_alive(panel, widget, volume):
    ui = panel("slow").ui
    ui.inputSelector.setCurrentNode(volume)
    seen = set()
    ui.progressBar.connect("valueChanged(int)", lambda value: seen.add(value))
    click(ui.applyButton)
    until(lambda: ui.statusLabel.text.isdigit())  # the slow child tells a number at last
    click(ui.cancelButton)
    assert ui.statusLabel.text == "Cancelled."
    assert ui.applyButton.enabled
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode") is None


def test_an_error_is_shown_in_one_sentence_and_apply_is_back(panel, widget, volume):
    ui = panel("sorry").ui
    ui.inputSelector.setCurrentNode(volume)
    click(ui.applyButton)
    until(lambda: ui.applyButton.enabled)
    assert ui.statusLabel.text == "There is no bundle. Choose one."


def test_without_consent_to_install_nothing_starts(panel, widget, volume):
    ui = panel(installed=False).ui
    ui.inputSelector.setCurrentNode(volume)
    click(ui.applyButton)
    assert ui.statusLabel.text == "Nothing was installed, so nothing can be segmented."
    assert ui.applyButton.enabled


def test_an_installation_that_fails_is_one_sentence(panel, widget, volume):
    from FedCrossSlicerLib.errors import InstallError

    def fail(ask):
        raise InstallError("PyTorch could not be installed; see the log.")

    prepared = panel()
    prepared._ensureInstalled = fail
    prepared.ui.inputSelector.setCurrentNode(volume)
    click(prepared.ui.applyButton)
    assert prepared.ui.statusLabel.text == "PyTorch could not be installed; see the log."


def test_closing_the_scene_cancels_and_the_panel_comes_back_empty(
    panel, widget, volume, scene, temporary
):
    ui = panel("slow").ui
    ui.inputSelector.setCurrentNode(volume)
    click(ui.applyButton)
    until(lambda: ui.statusLabel.text.isdigit())
    scene.Clear(False)
    assert ui.inputSelector.currentNode() is None
    assert not ui.cancelButton.enabled
    assert list(temporary.iterdir()) == []


def test_the_folder_button_fills_in_the_bundle(widget, monkeypatch, tmp_path):
    import qt

    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    ui = widget.self().ui
    click(ui.folderButton)
    assert ui.bundleEdit.currentPath == str(tmp_path)


def test_the_module_cleans_up_when_it_is_unloaded(loaded, panel, widget, volume, temporary):
    ui = panel("slow").ui
    ui.inputSelector.setCurrentNode(volume)
    click(ui.applyButton)
    until(lambda: ui.statusLabel.text.isdigit())
    widget.self().cleanup()
    assert list(temporary.iterdir()) == []
    loaded._representation = None
