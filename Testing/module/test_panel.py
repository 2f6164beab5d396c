"""The panel, with the mouse and the keyboard."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
from PySide6 import QtCore, QtGui, QtTest, QtWidgets


class QuietProbe:
    """Finds no graphics card, at once."""

    def start(self):
        """Nothing to start."""

    def cancel(self):
        """Nothing to stop."""

    def poll(self):
        from FedCrossSlicerLib.devices import Devices

        return Devices((), "No GPU: a test.", "2.13.0")


@pytest.fixture(autouse=True)
def _no_probe(loaded, monkeypatch):
    monkeypatch.setattr("FedCrossSlicerLib.widget.DeviceProbe", QuietProbe)


@pytest.fixture
def widget(loaded, scene):
    """The module's panel, entered; left again afterwards."""
    representation = loaded.widgetRepresentation()
    representation.resize(460, 1100)
    representation.show()
    representation.enter()
    yield representation
    representation.self().panel.cancel()
    representation.exit()
    representation.self().ui.bundleEdit.currentPath = ""


@pytest.fixture
def panel(widget, fake, bundle_folder):
    """The panel with a child in a given mood, and packages in place."""
    panel = widget.self().panel
    kept = panel.logic.start, panel.ensureInstalled, panel.ask, panel._installed

    def prepare(mood="good", installed=True):
        panel.logic.start = fake(mood).start
        panel.ensureInstalled = lambda ask: installed
        panel._installed = False
        panel.ui.deviceCombo.currentIndex = 0
        panel.ui.bundleEdit.currentPath = str(bundle_folder)
        return panel

    yield prepare
    panel.cancel()
    panel.logic.start, panel.ensureInstalled, panel.ask, panel._installed = kept


@pytest.fixture
def segmented(panel, widget, volume):
    """The panel after a segmentation."""
    ready = panel()
    ready.ui.inputSelector.setCurrentNode(volume)
    click(ready.ui.applyButton)
    until(lambda: ready.ui.applyButton.enabled)
    return ready


def click(button):
    """Click a button in its middle, a check box on its box."""
    where = QtCore.QPoint(8, button.height // 2)
    place = {"pos": where} if isinstance(button, QtWidgets.QCheckBox) else {}
    QtTest.QTest.mouseClick(button, QtCore.Qt.LeftButton, **place)


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        slicer.app.processEvents()
        time.sleep(0.01)


def foreground():
    composite = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    return slicer.mrmlScene.GetNodeByID(composite.GetForegroundVolumeID() or "")


def texts(table):
    return [
        [table.item(row, column).text() for column in range(table.columnCount)]
        for row in range(table.rowCount)
    ]


def test_apply_waits_for_a_volume_and_a_bundle(widget, volume):
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


def test_the_volume_on_view_is_preselected(loaded, scene, volume):
    other = slicer.util.addVolumeFromArray(np.zeros((3, 3, 3)), name="On view")
    slicer.util.setSliceViewerLayers(background=other)
    widget = loaded.widgetRepresentation()
    widget.enter()
    assert widget.self().ui.inputSelector.currentNode() is other
    widget.exit()


def test_what_is_chosen_is_kept_in_the_scene(widget, volume):
    from FedCrossSlicerLib.parameters import Measure, Region

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


def test_neither_the_bundles_path_nor_the_device_is_kept_in_the_scene(widget, volume):
    ui = widget.self().ui
    ui.bundleEdit.currentPath = "/home/somebody/bundle"
    ui.deviceCombo.currentIndex = 1
    node = widget.self().logic.getParameterNode().parameterNode
    kept = [node.GetParameter(name) for name in node.GetParameterNames()]
    assert not any("somebody" in value or value == "cpu" for value in kept)


def test_a_bundle_is_told_in_words_and_what_it_says_about_itself_is_escaped(panel, widget):
    text = panel().ui.bundleInfo.text
    assert "Prostate &lt;T2&gt;" in text
    assert "2 members" in text
    assert "MR" in text
    assert "trained at north, south" in text
    assert "#33cc66" in text
    assert "model card" in text


def test_what_is_no_bundle_is_told_in_one_sentence(widget, tmp_path):
    ui = widget.self().ui
    ui.bundleEdit.currentPath = str(tmp_path)
    assert "bundle" in ui.bundleInfo.text
    assert "Traceback" not in ui.bundleInfo.text


def test_the_sample_bundle_is_a_click_away(widget):
    from FedCrossSlicerLib.samples import BUNDLE

    ui = widget.self().ui
    assert "sample bundle" in ui.bundleInfo.text
    ui.bundleInfo.linkActivated.emit("sample")
    assert ui.bundleEdit.currentPath == str(BUNDLE)
    assert "Phantom organ" in ui.bundleInfo.text


def test_the_model_card_opens(panel, widget, monkeypatch):
    shown = []
    monkeypatch.setattr(slicer.util, "infoDisplay", lambda text, **_: shown.append(text))
    panel().ui.bundleInfo.linkActivated.emit("card")
    assert "Prostate <T2>" in shown[0]


def test_a_volume_that_does_not_fit_is_warned_of_before_anything_is_computed(panel, widget, scene):
    ui = panel().ui
    ct = slicer.util.addVolumeFromArray(np.full((40, 40, 40), -1000.0), np.diag([9, 9, 9, 1]))
    slicer.util.arrayFromVolume(ct)[0] = 500
    ui.inputSelector.setCurrentNode(ct)
    assert ui.fitLabel.visible
    assert "\u26a0" in ui.fitLabel.text
    assert ui.applyButton.enabled  # a warning, not a ban


def test_a_volume_that_fits_is_not_warned_of(panel, widget, volume):
    ui = panel().ui
    ui.inputSelector.setCurrentNode(volume)
    assert not ui.fitLabel.visible


def test_the_devices_are_listed_and_the_choice_reaches_the_child(panel, widget, volume):
    from FedCrossSlicerLib.devices import Devices, Gpu

    ready = panel()
    ready.input.showDevices(Devices((Gpu("cuda:0", "Big Card", 24.0),), "GPU ready.", "2.13"))
    combo = ready.ui.deviceCombo
    assert [combo.itemText(i) for i in range(combo.count)] == [
        "Automatic",
        "CPU",
        "Big Card (cuda:0)",
    ]
    assert ready.ui.deviceStatus.text == "GPU ready."
    combo.currentIndex = 2
    asked = []
    ready.logic.start = lambda volume, path, options, roi: asked.append(options) or _never()
    ready.ui.inputSelector.setCurrentNode(volume)
    click(ready.ui.applyButton)
    assert asked[0].device == "cuda:0"


def _never():
    from FedCrossSlicerLib.errors import InferenceError

    raise InferenceError("Not today.")


def test_apply_segments_and_the_result_fills_the_sections(segmented, volume):
    ui = segmented.ui
    assert ui.statusLabel.text == "Done: T2 axial segmentation."
    assert not ui.progressBar.visible
    assert ui.resultSelector.currentNode().GetName() == "T2 axial segmentation"
    assert texts(ui.figuresTable)[0][:2] == ["Prostate", "31.2"]
    assert texts(ui.spotsTable)[0][0] == "Prostate"
    assert ui.reviewLabel.text.startswith("0 of")
    assert ui.bundleEdit.history[-1] == segmented.input.path
    assert foreground().GetName() == "T2 axial uncertainty"


def test_the_region_of_interest_reaches_the_child_where_it_is_seen(
    panel, widget, volume, transform
):
    ready = panel()
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Box")
    roi.SetCenter(1, 2, 3)
    roi.SetSize(10, 20, 30)
    roi.SetAndObserveTransformNodeID(transform.GetID())
    ready.ui.inputSelector.setCurrentNode(volume)
    ready.ui.roiSelector.setCurrentNode(roi)
    asked = []
    ready.logic.start = lambda volume, path, options, roi: asked.append(roi) or _never()
    click(ready.ui.applyButton)
    assert asked == [roi]


def test_progress_stage_and_log_are_shown_while_the_panel_stays_alive(panel, widget, volume):
    ui = panel("slow").ui
    ui.inputSelector.setCurrentNode(volume)
    click(ui.applyButton)
    assert not ui.applyButton.enabled
    assert ui.cancelButton.enabled
    assert ui.progressBar.visible
    until(lambda: ui.statusLabel.text.isdigit())  # the slow child tells a number at last
    click(ui.cancelButton)
    assert ui.statusLabel.text == "Cancelled."
    assert ui.applyButton.enabled
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode") is None


def test_the_remaining_time_is_told_once_there_is_a_rate(widget):
    from FedCrossSlicerLib.runsection import inWords

    run = widget.self().panel.run
    task = SimpleNamespace(done=30, total=120, message="Segmenting", log="", remainingSeconds=95.0)
    run.showTask(task)
    ui = widget.self().ui
    assert ui.statusLabel.text == "Segmenting: patch 30 of 120, 2 min left"
    assert (ui.progressBar.value, ui.progressBar.maximum) == (30, 120)
    assert [inWords(s) for s in (0.2, 59.4, 60, 61)] == ["1 s", "59 s", "1 min", "2 min"]


def test_the_log_can_be_read_and_copied(panel, widget, volume):
    ui = panel("crash").ui
    ui.inputSelector.setCurrentNode(volume)
    click(ui.applyButton)
    until(lambda: ui.applyButton.enabled)
    assert "No module named 'torch'" in ui.logText.plainText
    assert "Traceback" not in ui.statusLabel.text
    ui.logSection.collapsed = False
    click(ui.copyLogButton)
    assert QtWidgets.QApplication.clipboard().text() == ui.logText.plainText


def test_an_error_is_shown_in_one_sentence_and_apply_is_back(panel, widget, volume):
    ui = panel("sorry").ui
    ui.inputSelector.setCurrentNode(volume)
    click(ui.applyButton)
    until(lambda: ui.applyButton.enabled)
    assert ui.statusLabel.text == "There is no bundle. Choose one."


@pytest.mark.parametrize("agreed", [True, False])
def test_a_gpu_that_is_too_small_offers_the_cpu(panel, widget, volume, agreed):
    ready = panel("small-gpu")
    asked = []
    ready.ask = lambda question: asked.append(question) or agreed
    ready.ui.inputSelector.setCurrentNode(volume)
    click(ready.ui.applyButton)
    until(lambda: ready.ui.applyButton.enabled)
    assert len(asked) == 1
    assert "CPU" in asked[0]
    done = ready.ui.resultSelector.currentNode() is not None
    assert done == agreed
    assert (ready.input.device == "cpu") == agreed


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
    prepared.ensureInstalled = fail
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


def test_closing_the_scene_empties_result_and_review(segmented, scene):
    scene.Clear(False)
    ui = segmented.ui
    assert ui.figuresTable.rowCount == 0
    assert ui.reviewLabel.text == "Segment a volume first."
    assert not ui.nextButton.enabled


def test_the_folder_button_fills_in_the_bundle(widget, monkeypatch, tmp_path):
    import qt

    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    ui = widget.self().ui
    click(ui.folderButton)
    assert ui.bundleEdit.currentPath == str(tmp_path)


def drop(widget, *paths):
    """Drag files over a widget and let them go."""
    data = QtCore.QMimeData()
    data.setUrls([QtCore.QUrl.fromLocalFile(str(path)) for path in paths])
    where, copy = QtCore.QPointF(30, 30), QtCore.Qt.CopyAction
    none = (QtCore.Qt.NoButton, QtCore.Qt.NoModifier)
    entered = QtGui.QDragEnterEvent(where.toPoint(), copy, data, *none)
    QtWidgets.QApplication.sendEvent(widget, entered)
    assert entered.isAccepted()
    QtWidgets.QApplication.sendEvent(widget, QtGui.QDropEvent(where, copy, data, *none))


@pytest.mark.filterwarnings("ignore:.*QDragEnterEvent:DeprecationWarning")
def test_a_bundle_is_dropped_onto_the_panel(widget, tmp_path, bundle_folder):
    ui = widget.self().ui
    top = ui.inputSection.parentWidget()
    (tmp_path / "notes.txt").touch()
    drop(top, tmp_path / "notes.txt")
    assert ui.bundleEdit.currentPath == ""
    drop(top, tmp_path / "notes.txt", bundle_folder)
    assert ui.bundleEdit.currentPath == str(bundle_folder)


def test_the_figures_carry_a_verdict_that_follows_the_thresholds(segmented):
    ui = segmented.ui
    agreement = float(texts(ui.figuresTable)[0][3])
    ui.trustSpin.value = 0.0
    ui.agreeSpin.value = agreement - 0.05
    assert texts(ui.figuresTable)[0][4] == "\u2714 members agree"
    ui.agreeSpin.value = 1.0
    assert texts(ui.figuresTable)[0][4] == "\u25cf look at it"
    ui.trustSpin.value = 1.0
    assert texts(ui.figuresTable)[0][4] == "\u2716 do not trust"


def test_the_figures_are_copied_and_saved(segmented, monkeypatch, tmp_path):
    import qt

    click(segmented.ui.copyFiguresButton)
    lines = QtWidgets.QApplication.clipboard().text().splitlines()
    assert lines[1].startswith("Prostate\t31.20\t")
    target = str(tmp_path / "figures.csv")
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *_: target)
    click(segmented.ui.csvButton)
    assert (tmp_path / "figures.csv").read_text().splitlines()[1].startswith("Prostate,31.20,")


def test_every_uncertainty_control_changes_the_view_at_once(segmented, volume):
    from FedCrossSlicerLib.parameters import Measure, Region
    from FedCrossSlicerLib.resultnodes import ResultNodes

    ui = segmented.ui
    nodes = ResultNodes.of(ui.resultSelector.currentNode())
    display = nodes.heat.GetDisplayNode()
    before = slicer.util.arrayFromVolume(nodes.heat).copy()
    ui.measureCombo.currentText = Measure.ENTROPY.label()
    assert nodes.measure == "entropy"
    assert slicer.util.arrayFromVolume(nodes.heat).max() > before.max()
    ui.regionCombo.currentText = Region.INSIDE.label()
    assert 0 < np.count_nonzero(slicer.util.arrayFromVolume(nodes.heat)) < np.count_nonzero(before)
    assert not ui.marginSlider.enabled
    ui.regionCombo.currentText = Region.NEAR.label()
    assert ui.marginSlider.enabled
    near = np.count_nonzero(slicer.util.arrayFromVolume(nodes.heat))
    ui.marginSlider.value = 20
    assert np.count_nonzero(slicer.util.arrayFromVolume(nodes.heat)) > near
    ui.thresholdSlider.value = 0.5
    assert display.GetLowerThreshold() == pytest.approx(0.5 * nodes.windowMax("entropy"), abs=1e-5)
    ui.opacitySlider.value = 0.3
    composite = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    assert composite.GetForegroundOpacity() == pytest.approx(0.3)
    grey = slicer.mrmlScene.GetNodeByID("vtkMRMLColorTableNodeGrey")
    ui.colorSelector.setCurrentNode(grey)
    assert display.GetColorNode() is grey
    click(ui.legendCheck)
    assert not slicer.modules.colors.logic().GetColorLegendDisplayNode(nodes.heat).GetVisibility()
    outlines = nodes.outlines.GetDisplayNode()
    assert not outlines.GetVisibility()
    click(ui.membersCheck)
    assert outlines.GetVisibility()
    click(ui.envelopeCheck)
    assert outlines.GetSegmentVisibility("union_prostate")
    click(ui.surfaceCheck)
    assert nodes.surface.GetDisplayNode().GetVisibility()
    click(ui.heatCheck)
    assert foreground() is None


def test_parameters_set_by_python_change_the_view_too(segmented):
    parameters = segmented.logic.getParameterNode()
    parameters.showHeat = False
    assert foreground() is None
    parameters.showHeat = True
    assert foreground().GetName() == "T2 axial uncertainty"


def two_spots(panel):
    """Put the second hot spot 3 mm above the first, so that a slice view shows one or the other."""
    from FedCrossSlicerLib.resultnodes import ResultNodes

    nodes = ResultNodes.of(panel.ui.resultSelector.currentNode())
    table = nodes.hotSpots.GetTable()
    assert table.GetNumberOfRows() == 2
    for axis, above in (("R", 0), ("A", 0), ("S", 3)):
        column = table.GetColumnByName(axis)
        column.SetValue(1, column.GetValue(0) + above)
    panel.refresh()
    return nodes


def slice_offset():
    return slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed").GetSliceToRAS().GetElement(2, 3)


def test_a_row_a_button_or_a_key_goes_to_the_hot_spot(segmented, widget):
    ui = segmented.ui
    nodes = two_spots(segmented)
    table = ui.spotsTable
    middle = table.visualItemRect(table.item(0, 0)).center()
    QtTest.QTest.mouseClick(table.viewport(), QtCore.Qt.LeftButton, pos=middle)
    first = slice_offset()
    assert nodes.marker.GetNthControlPointLabel(0) == "1: Prostate"
    click(ui.nextButton)
    assert slice_offset() == pytest.approx(first + 3)
    assert nodes.marker.GetNthControlPointLabel(0).startswith("2")
    click(ui.previousButton)
    assert slice_offset() == pytest.approx(first)
    widget.activateWindow()
    QtTest.QTest.keyClick(widget, QtCore.Qt.Key_Down, QtCore.Qt.AltModifier)
    assert slice_offset() == pytest.approx(first + 3)
    QtTest.QTest.keyClick(widget, QtCore.Qt.Key_Up, QtCore.Qt.AltModifier)
    assert slice_offset() == pytest.approx(first)


def test_what_was_reviewed_is_counted_and_kept_with_the_scene(segmented, tmp_path, scene, widget):
    ui = segmented.ui
    two_spots(segmented)
    click(ui.nextButton)
    click(ui.reviewedButton)
    assert ui.reviewLabel.text == "1 of 2 reviewed"
    assert texts(ui.spotsTable)[0][4] == "\u2714 reviewed"
    assert ui.spotsTable.currentRow() == 1  # on to the next open one
    click(ui.correctedButton)
    assert ui.reviewLabel.text == "2 of 2 reviewed"
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    widget.exit()
    scene.Clear(False)
    slicer.util.loadScene(path)
    widget.enter()
    assert ui.reviewLabel.text == "2 of 2 reviewed"
    assert texts(ui.spotsTable)[1][4] == "\u270e corrected"
    assert texts(ui.figuresTable)[0][:2] == ["Prostate", "31.2"]


def test_the_keys_work_only_while_the_module_is_on_view(segmented, widget):
    assert all(shortcut.enabled for shortcut in segmented.review._shortcuts)
    widget.exit()
    assert not any(shortcut.enabled for shortcut in segmented.review._shortcuts)
    widget.enter()


def test_edit_here_opens_the_editor_on_the_structure(segmented, volume, monkeypatch):
    opened = []
    monkeypatch.setattr(
        "FedCrossSlicerLib.review.openSegmentEditor", lambda *given: opened.append(given)
    )
    segmented.refresh()
    click(segmented.ui.editButton)
    segmentation, source, segment = opened[0]
    assert segmentation is segmented.ui.resultSelector.currentNode()
    assert source is volume
    assert segment == "prostate"


def test_a_second_volumes_result_stands_beside_the_first(segmented, volume):
    other = slicer.modules.volumes.logic().CloneVolume(slicer.mrmlScene, volume, "Other")
    segmented.ui.inputSelector.setCurrentNode(other)
    click(segmented.ui.applyButton)
    until(lambda: segmented.ui.applyButton.enabled)
    assert segmented.ui.resultSelector.nodeCount() == 2
    assert segmented.ui.resultSelector.currentNode().GetName() == "Other segmentation"
    assert foreground().GetName() == "Other uncertainty"


def test_only_results_are_offered_as_results(segmented, scene):
    scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "By hand")
    assert segmented.ui.resultSelector.nodeCount() == 1


def test_the_dependencies_are_checked_and_installed_from_the_panel(widget, monkeypatch, tmp_path):
    import qt

    from FedCrossSlicerLib.errors import InstallError

    panel, asked = widget.self().panel, []

    def ensure(ask, wheels=None, faster=False):
        asked.append(wheels)
        if wheels is not None:
            raise InstallError("The folder has no torch.")
        return True

    installer = SimpleNamespace(checkInstallation=lambda: "torch 2.13.0", ensure=ensure)
    monkeypatch.setattr(panel.install, "installer", installer)
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    ui = panel.ui
    ui.installSection.collapsed = False
    click(ui.checkButton)
    assert ui.installLabel.text == "torch 2.13.0"
    click(ui.installButton)
    assert ui.installLabel.text == "Everything is installed."
    click(ui.wheelsButton)
    assert ui.installLabel.text == "The folder has no torch."
    assert asked == [None, tmp_path]
    ui.installSection.collapsed = True


def test_the_module_cleans_up_when_it_is_unloaded(loaded, panel, widget, volume, temporary):
    ui = panel("slow").ui
    ui.inputSelector.setCurrentNode(volume)
    click(ui.applyButton)
    until(lambda: ui.statusLabel.text.isdigit())
    widget.self().cleanup()
    assert list(temporary.iterdir()) == []
    loaded._representation = None
