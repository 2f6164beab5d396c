"""The section Input, used with the mouse."""

from dataclasses import replace

import numpy as np
import pytest
import slicer
import vtk
from panel_tools import click, until
from PySide6 import QtCore, QtGui, QtWidgets


def test_apply_is_enabled_once_a_volume_and_a_bundle_are_chosen(widget, volume):
    ui = widget.self().ui
    ui.inputSelector.setCurrentNode(None)
    assert not ui.applyButton.enabled
    assert ui.applyButton.toolTip == "Choose a volume first."
    ui.inputSelector.setCurrentNode(volume)
    assert not ui.applyButton.enabled
    assert ui.applyButton.toolTip == "Choose a bundle first."
    ui.bundleEdit.currentPath = "bundle"
    assert ui.applyButton.enabled
    assert not ui.cancelButton.enabled


def test_a_volume_that_is_loaded_while_the_panel_is_open_is_chosen(widget):
    ui = widget.self().ui
    assert ui.inputSelector.currentNode() is None
    first = slicer.util.addVolumeFromArray(np.zeros((3, 3, 3)), name="First")
    slicer.util.setSliceViewerLayers(background=first)
    assert ui.inputSelector.currentNode() is first
    second = slicer.util.addVolumeFromArray(np.zeros((3, 3, 3)), name="Second")
    slicer.util.setSliceViewerLayers(background=second)
    assert ui.inputSelector.currentNode() is first  # the chosen volume does not change


@pytest.mark.usefixtures("_no_probe")
def test_the_displayed_volume_is_preselected(loaded, scene, volume):
    other = slicer.util.addVolumeFromArray(np.zeros((3, 3, 3)), name="On view")
    slicer.util.setSliceViewerLayers(background=other)
    widget = loaded.widgetRepresentation()
    widget.enter()
    assert widget.self().ui.inputSelector.currentNode() is other
    widget.exit()


@pytest.mark.usefixtures("_no_probe")
def test_neither_label_maps_nor_maps_of_a_result_are_preselected(loaded, scene, volume):
    slicer.util.setSliceViewerLayers(background=None)
    for name in ("vtkMRMLLabelMapVolumeNode", "vtkMRMLVectorVolumeNode"):
        scene.AddNewNodeByClass(name)
    for role, hidden in (("heat", False), ("", True)):
        node = slicer.util.addVolumeFromArray(np.zeros((3, 3, 3)))
        node.SetHideFromEditors(hidden)
        node.SetAttribute("FedCross.Role", role)
        slicer.util.setSliceViewerLayers(background=node)
    widget = loaded.widgetRepresentation()
    widget.enter()
    assert widget.self().logic.getParameterNode().inputVolume is volume
    scene.RemoveNode(volume)
    slicer.app.processEvents()
    assert widget.self().logic.getParameterNode().inputVolume is None
    widget.exit()


def test_entering_the_module_again_keeps_the_chosen_values(widget, volume):
    from FedCrossSlicerLib.panel.parameters import Measure, Region

    ui = widget.self().ui
    ui.measureCombo.currentText = Measure.ENTROPY.label()
    ui.regionCombo.currentText = Region.NEAR.label()
    first = widget.self().logic.getParameterNode()
    for _ in range(3):
        widget.exit()
        widget.enter()
    assert (first.measure, first.region) == (Measure.ENTROPY, Region.NEAR)


def test_the_chosen_values_are_stored_in_the_scene(widget, volume):
    from FedCrossSlicerLib.panel.parameters import Measure, Region

    ui = widget.self().ui
    ui.inputSelector.setCurrentNode(volume)
    ui.measureCombo.currentText = Measure.ENTROPY.label()
    ui.regionCombo.currentText = Region.NEAR.label()
    ui.opacitySlider.value = 0.25
    click(ui.surfaceCheck)
    widget.exit()
    parameters = widget.self().logic.getParameterNode()
    assert parameters.inputVolume is volume
    assert (parameters.measure, parameters.region) == (Measure.ENTROPY, Region.NEAR)
    assert (parameters.opacity, parameters.colorSurface) == (0.25, True)
    widget.enter()
    assert ui.measureCombo.currentText == Measure.ENTROPY.label()


def test_only_near_the_structures_reaches_the_child_and_is_stored_in_the_scene(panel, volume):
    ready = panel()
    ready.ui.inputSelector.setCurrentNode(volume)
    requests = []
    ready.logic.start = lambda volume, path, options, roi, further: (
        requests.append(options) or _never()
    )
    assert not ready.ui.localiseCheck.checked
    click(ready.ui.localiseCheck)
    click(ready.ui.applyButton)
    assert [options.localise for options in requests] == [True]
    assert ready.logic.getParameterNode().localise


def test_neither_the_bundles_path_nor_the_device_is_stored_in_the_scene(widget, volume):
    ui = widget.self().ui
    ui.bundleEdit.currentPath = "/home/somebody/bundle"
    ui.deviceCombo.currentIndex = 1
    node = widget.self().logic.getParameterNode().parameterNode
    stored = [node.GetParameter(name) for name in node.GetParameterNames()]
    assert not any("somebody" in value or value == "cpu" for value in stored)


def test_the_bundles_description_is_shown_and_its_texts_are_escaped(panel, widget):
    text = panel().ui.bundleInfo.text
    assert "Prostate &lt;T2&gt;" in text
    assert "2 members" in text
    assert "MR" in text
    assert "trained at north, south" in text
    assert "#33cc66" in text
    assert "model card" in text


def test_a_file_that_is_not_a_bundle_shows_one_sentence(widget, tmp_path):
    ui = widget.self().ui
    ui.bundleEdit.currentPath = str(tmp_path)
    assert "bundle" in ui.bundleInfo.text
    assert "Traceback" not in ui.bundleInfo.text


def test_a_link_chooses_the_sample_bundle(widget):
    from FedCrossSlicerLib.bundle.samples import BUNDLE

    ui = widget.self().ui
    assert "sample bundle" in ui.bundleInfo.text
    ui.bundleInfo.linkActivated.emit("sample")
    assert ui.bundleEdit.currentPath == str(BUNDLE)
    assert "Phantom organ" in ui.bundleInfo.text


def test_the_model_card_opens(panel, widget):
    ready = panel()
    ready.ui.bundleInfo.linkActivated.emit("card")
    card = ready.input.card
    assert card.visible
    assert card.windowTitle == "Model card of Prostate <T2>"
    text = card.findChild(QtWidgets.QPlainTextEdit)
    assert text.readOnly
    assert "Research use only" in text.plainText
    assert text.plainText.startswith("# Prostate <T2>")
    card.close()
    harmful = "!![x](//host/p.png) <img src='http://host/x.png'>\nline\u202etwo"
    ready.input._shown = (ready.input.path, replace(ready.input._shown[1], card=harmful))
    ready.ui.bundleInfo.linkActivated.emit("card")
    text = ready.input.card.findChild(QtWidgets.QPlainTextEdit)
    assert text.plainText == harmful.replace("\u202e", "?")  # shown as it is, so nothing is loaded
    ready.input.card.close()
    widget.raise_()
    widget.activateWindow()
    until(lambda: widget.isActiveWindow, 5)


def test_a_volume_that_does_not_fit_shows_a_warning_before_anything_is_computed(
    panel, widget, scene
):
    ui = panel().ui
    ct = slicer.util.addVolumeFromArray(np.full((40, 40, 40), -1000.0), np.diag([9, 9, 9, 1]))
    slicer.util.arrayFromVolume(ct)[0] = 500
    ui.inputSelector.setCurrentNode(ct)
    assert ui.fitLabel.visible
    assert "\u26a0" in ui.fitLabel.text
    assert ui.applyButton.enabled  # the user may segment in spite of the warning


def test_a_volume_without_voxels_shows_one_sentence(panel, widget, scene):
    ui = panel().ui
    hollow = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Not loaded yet")
    hollow.SetAndObserveImageData(vtk.vtkImageData())
    ui.inputSelector.setCurrentNode(hollow)
    assert not ui.fitLabel.visible
    click(ui.applyButton)
    assert ui.statusLabel.text.startswith("Choose a volume that has an image")
    assert ui.applyButton.enabled


def test_a_volume_that_fits_shows_no_warning(panel, widget, volume):
    ui = panel().ui
    ui.inputSelector.setCurrentNode(volume)
    assert not ui.fitLabel.visible


def test_the_devices_are_listed_and_the_choice_reaches_the_child(panel, widget, volume):
    from fedcross.contract.devices import Devices, Gpu

    ready = panel()
    ready.input.showDevices(Devices("2.13", (Gpu("cuda:0", "Big Card", 24.0),), "GPU ready."))
    combo = ready.ui.deviceCombo
    assert [combo.itemText(i) for i in range(combo.count)] == [
        "Automatic",
        "CPU",
        "Big Card (cuda:0)",
    ]
    assert ready.ui.deviceStatus.text == "GPU ready."
    combo.currentIndex = 2
    requests = []
    ready.logic.start = lambda volume, path, options, roi, further: (
        requests.append(options) or _never()
    )
    ready.ui.inputSelector.setCurrentNode(volume)
    click(ready.ui.applyButton)
    assert requests[0].device == "cuda:0"


def test_a_device_chosen_before_the_graphics_cards_are_found_stays_chosen(panel, widget):
    from fedcross.contract.devices import Devices, Gpu

    ready = panel()
    ready.input.showDevices(Devices(None, (), "Looking..."))
    ready.ui.deviceCombo.currentIndex = 1
    ready.input.showDevices(Devices("2.13", (Gpu("cuda:0", "Big Card", 24.0),), "GPU ready."))
    assert ready.input.device == "cpu"


def _never():
    from FedCrossSlicerLib.errors import InferenceError

    raise InferenceError("Not today.")


def test_the_box_reaches_the_child_in_world_space(panel, widget, volume, transform):
    ready = panel()
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Box")
    roi.SetCenter(1, 2, 3)
    roi.SetSize(10, 20, 30)
    roi.SetAndObserveTransformNodeID(transform.GetID())
    ready.ui.inputSelector.setCurrentNode(volume)
    ready.ui.roiSelector.setCurrentNode(roi)
    requests = []
    ready.logic.start = lambda volume, path, options, roi, further: requests.append(roi) or _never()
    click(ready.ui.applyButton)
    assert requests == [roi]


def test_a_new_box_is_fitted_around_the_volume_and_a_box_with_a_size_is_not(widget, volume):
    ui = widget.self().ui
    ui.inputSelector.setCurrentNode(volume)
    roi = ui.roiSelector.addNode()
    bounds, around = [0.0] * 6, [0.0] * 6
    volume.GetRASBounds(bounds)
    roi.GetRASBounds(around)
    assert around == pytest.approx(bounds)
    own = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Own")
    own.SetSize(1, 2, 3)
    ui.roiSelector.setCurrentNode(own)
    assert tuple(own.GetSize()) == (1, 2, 3)
    elsewhere = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "About to be placed")
    assert tuple(elsewhere.GetSize()) == (0, 0, 0)


def test_a_box_created_before_the_volume_is_fitted_around_it_later(widget, scene):
    ui = widget.self().ui
    roi = ui.roiSelector.addNode()
    assert not any(roi.GetSize())
    volume = slicer.util.addVolumeFromArray(np.zeros((6, 5, 4)))
    ui.inputSelector.setCurrentNode(volume)
    assert tuple(roi.GetSize()) == (4, 5, 6)


def test_the_folder_button_chooses_the_bundle(widget, monkeypatch, tmp_path):
    import qt

    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    ui = widget.self().ui
    click(ui.folderButton)
    assert ui.bundleEdit.currentPath == str(tmp_path)


class Underneath(QtWidgets.QWidget):
    """Stands in for Slicer's main window: it takes every drag that the panel leaves to it."""

    def __init__(self):
        super().__init__()
        self.acceptDrops = True
        self.dropped = []

    def dragEnterEvent(self, event):
        event.accept()

    def dropEvent(self, event):
        self.dropped += [url.toLocalFile() for url in event.mimeData().urls()]
        event.accept()


@pytest.fixture
def underneath(widget):
    """The widget that holds the panel during a test."""
    window = Underneath()
    QtWidgets.QVBoxLayout(window).addWidget(widget)
    window.show()
    yield window
    widget.setParent(None)
    widget.show()


def drop(widget, *paths):
    """Drag files onto a widget and drop them."""
    data = QtCore.QMimeData()
    data.setUrls([QtCore.QUrl.fromLocalFile(str(path)) for path in paths])
    where, copy = QtCore.QPointF(30, 30), QtCore.Qt.CopyAction
    none = (QtCore.Qt.NoButton, QtCore.Qt.NoModifier)
    entered = QtGui.QDragEnterEvent(where.toPoint(), copy, data, *none)
    QtWidgets.QApplication.sendEvent(widget, entered)
    assert entered.isAccepted()
    QtWidgets.QApplication.sendEvent(widget, QtGui.QDropEvent(where, copy, data, *none))


pytestmark = pytest.mark.filterwarnings("ignore:.*QDragEnterEvent:DeprecationWarning")


def test_a_bundle_can_be_dropped_onto_the_panel(widget, tmp_path, bundle_folder, underneath):
    ui = widget.self().ui
    top = ui.inputSection.parentWidget()
    (tmp_path / "notes.txt").touch()
    drop(top, tmp_path / "notes.txt", bundle_folder)
    assert ui.bundleEdit.currentPath == str(bundle_folder)
    (tmp_path / "BUNDLE.ZIP").touch()
    drop(top, tmp_path / "BUNDLE.ZIP")
    assert ui.bundleEdit.currentPath == str(tmp_path / "BUNDLE.ZIP")
    assert underneath.dropped == []


def test_a_scan_and_a_dicom_folder_that_are_dropped_onto_the_panel_go_on_to_slicer(
    widget, tmp_path, underneath
):
    ui = widget.self().ui
    scan, study = tmp_path / "scan.nrrd", tmp_path / "study.zip"
    scan.touch()
    (study / "configs").mkdir(parents=True)
    for path in (scan, study, tmp_path / "missing.zip"):
        drop(ui.inputSection.parentWidget(), path)
    assert ui.bundleEdit.currentPath == ""
    assert underneath.dropped == [str(scan), str(study), str(tmp_path / "missing.zip")]


def test_a_bundle_dropped_onto_the_path_line_gives_a_path_and_not_a_url(widget, bundle_folder):
    line = widget.self().ui.bundleEdit.comboBox().lineEdit()
    drop(line, bundle_folder)
    assert widget.self().ui.bundleEdit.currentPath == str(bundle_folder)


def test_the_chosen_backend_is_used_and_shown_with_the_result(panel, widget, volume):
    from FedCrossSlicerLib.child.request import Options

    ready = panel()
    combo = ready.ui.backendCombo
    assert ready.input.options == Options()
    combo.currentIndex = combo.findText("OpenVINO, half precision")
    assert ready.input.options == Options(backend="openvino", precision="bf16")
    combo.currentIndex = 0
    ready.ui.inputSelector.setCurrentNode(volume)
    click(ready.ui.applyButton)
    until(lambda: ready.ui.applyButton.enabled)
    assert ready.ui.detailsLabel.text == (
        "Prostate T2, 4 members. Computed with torch, fp32, CPU, 1 thread."
    )
