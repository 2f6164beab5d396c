"""The sections Result, Uncertainty and Review, used with mouse and keyboard."""

import numpy as np
import pytest
import slicer
from panel_tools import click, foreground, texts, until
from PySide6 import QtCore, QtTest, QtWidgets

from fedcross.contract.files import union_segment


def test_apply_segments_and_the_sections_show_the_result(segmented, volume):
    ui = segmented.ui
    assert ui.statusLabel.text == "Done: T2 axial segmentation."
    assert not ui.progressBar.visible
    assert ui.resultSelector.currentNode().GetName() == "T2 axial segmentation"
    assert texts(ui.figuresTable) == [
        [
            "Prostate\n31.2 mL (members: 29.8 to 33.0 mL)",
            "\u2714 members agree\nagreement 0.93",
        ]
    ]
    assert texts(ui.spotsTable)[0][0] == "Prostate"
    assert ui.reviewLabel.text.startswith("0 of")
    assert ui.bundleEdit.comboBox().itemText(0) == segmented.input.path
    assert foreground().GetName() == "T2 axial uncertainty"


def test_a_scene_that_is_added_while_the_panel_is_open_shows_its_result(segmented, scene, tmp_path):
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    scene.Clear(False)
    files = slicer.app.coreIOManager()
    files.loadNodes("SceneFile", {"fileName": path, "clear": False}, None)
    ui = segmented.ui
    assert ui.resultSelector.currentNode().GetName() == "T2 axial segmentation"
    assert ui.inputSelector.currentNode().GetName() == "T2 axial"
    assert ui.reviewLabel.text == "0 of 2 reviewed"
    assert foreground().GetName() == "T2 axial uncertainty"


def test_closing_the_scene_empties_the_sections_result_and_review(segmented, scene):
    scene.Clear(False)
    ui = segmented.ui
    assert ui.figuresTable.rowCount == 0
    assert ui.reviewLabel.text == "Segment a volume first."
    assert not ui.nextButton.enabled


def test_the_verdicts_follow_the_thresholds(segmented):
    ui = segmented.ui
    ui.trustSpin.value = 0.0
    ui.agreeSpin.value = 0.9  # the agreement is 0.93
    assert texts(ui.figuresTable)[0][1].startswith("\u2714 members agree")
    ui.agreeSpin.value = 1.0
    assert texts(ui.figuresTable)[0][1].startswith("\u25cf look at it")
    ui.trustSpin.value = 1.0
    assert texts(ui.figuresTable)[0][1].startswith("\u2716 do not trust")


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
    from FedCrossSlicerLib.panel.parameters import Measure, Region
    from FedCrossSlicerLib.scene.nodes import ResultNodes

    ui = segmented.ui
    nodes = ResultNodes.of(ui.resultSelector.currentNode())
    display = nodes.heat.GetDisplayNode()
    before = slicer.util.arrayFromVolume(nodes.heat).copy()
    ui.measureCombo.currentText = Measure.STD.label()
    assert nodes.measure == "std"
    assert slicer.util.arrayFromVolume(nodes.heat).max() < before.max()
    ui.regionCombo.currentText = Region.INSIDE.label()
    assert 0 < np.count_nonzero(slicer.util.arrayFromVolume(nodes.heat)) < np.count_nonzero(before)
    assert not ui.marginSlider.enabled
    ui.regionCombo.currentText = Region.NEAR.label()
    assert ui.marginSlider.enabled
    near = np.count_nonzero(slicer.util.arrayFromVolume(nodes.heat))
    ui.marginSlider.value = 20
    assert np.count_nonzero(slicer.util.arrayFromVolume(nodes.heat)) > near
    ui.thresholdSlider.value = 0.5
    assert display.GetLowerThreshold() == pytest.approx(0.5 * nodes.windowMax("std"), abs=1e-5)
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
    assert outlines.GetSegmentVisibility(union_segment("prostate"))
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
    """Move the second hot spot 3 mm above the first, so that an axial slice shows only one of them."""
    from FedCrossSlicerLib.scene.nodes import ResultNodes

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


def test_a_row_a_button_and_a_key_go_to_a_hot_spot(segmented, widget):
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


def test_reviewed_hot_spots_are_counted_and_stored_in_the_scene(segmented, tmp_path, scene, widget):
    ui = segmented.ui
    two_spots(segmented)
    click(ui.nextButton)
    click(ui.reviewedButton)
    assert ui.reviewLabel.text == "1 of 2 reviewed"
    assert texts(ui.spotsTable)[0][4] == "\u2714 reviewed"
    assert ui.spotsTable.currentRow() == 1  # goes to the next open hot spot
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
    assert texts(ui.figuresTable)[0][0].startswith("Prostate\n31.2 mL ")


def test_without_the_table_of_hot_spots_the_buttons_do_nothing(segmented, widget):
    ui = segmented.ui
    nodes = two_spots(segmented)
    click(ui.nextButton)
    slicer.mrmlScene.RemoveNode(nodes.hotSpots)
    before = slice_offset()
    middle = ui.spotsTable.visualItemRect(ui.spotsTable.item(1, 0)).center()
    QtTest.QTest.mouseClick(ui.spotsTable.viewport(), QtCore.Qt.LeftButton, pos=middle)
    for button in (ui.nextButton, ui.previousButton, ui.reviewedButton, ui.editButton):
        click(button)
    assert slice_offset() == before
    segmented.refresh()
    assert ui.reviewLabel.text == "The list of hot spots is no longer in the scene."


def test_tables_that_the_user_has_edited_show_what_is_left(segmented):
    from FedCrossSlicerLib.scene.nodes import ResultNodes

    ui = segmented.ui
    nodes = ResultNodes.of(ui.resultSelector.currentNode())
    nodes.hotSpots.AddEmptyRow()
    nodes.figures.RemoveColumn(8)  # the agreement
    segmented.refresh()
    assert [row[1] for row in texts(ui.spotsTable)] == ["1", "2"]
    assert texts(ui.figuresTable)[0][1] == "\u25cf look at it"
    nodes.hotSpots.RemoveColumn(0)
    nodes.figures.RemoveColumn(0)
    segmented.refresh()
    assert ui.spotsTable.rowCount == ui.figuresTable.rowCount == 0
    assert "no longer in the scene" in ui.detailsLabel.text


def test_a_result_whose_heat_map_was_lost_shows_everything_else(segmented):
    from FedCrossSlicerLib.scene.nodes import ResultNodes

    ui = segmented.ui
    nodes = ResultNodes.of(ui.resultSelector.currentNode())
    nodes.heat.SetAndObserveImageData(None)
    click(ui.membersCheck)
    assert nodes.outlines.GetDisplayNode().GetVisibility()
    click(ui.nextButton)
    assert ui.reviewLabel.text == "0 of 2 reviewed"


def test_the_keys_work_only_while_the_module_is_open(segmented, widget):
    assert all(shortcut.enabled for shortcut in segmented.review._shortcuts.values())
    widget.exit()
    assert not any(shortcut.enabled for shortcut in segmented.review._shortcuts.values())
    widget.enter()


def test_edit_here_opens_the_editor_on_the_structure(segmented, volume, monkeypatch):
    opened = []
    monkeypatch.setattr(
        "FedCrossSlicerLib.scene.review.openSegmentEditor",
        lambda *arguments: opened.append(arguments),
    )
    segmented.refresh()
    click(segmented.ui.editButton)
    segmentation, source, segment = opened[0]
    assert segmentation is segmented.ui.resultSelector.currentNode()
    assert source is volume
    assert segment == "prostate"


def test_the_result_of_a_second_volume_does_not_replace_the_first(segmented, volume):
    other = slicer.modules.volumes.logic().CloneVolume(slicer.mrmlScene, volume, "Other")
    segmented.ui.inputSelector.setCurrentNode(other)
    click(segmented.ui.applyButton)
    until(lambda: segmented.ui.applyButton.enabled)
    assert segmented.ui.resultSelector.nodeCount() == 2
    assert segmented.ui.resultSelector.currentNode().GetName() == "Other segmentation"
    assert foreground().GetName() == "Other uncertainty"


def test_a_result_that_arrives_while_another_module_is_open_is_shown_afterwards(
    segmented, widget, volume
):
    ui = segmented.ui
    other = slicer.modules.volumes.logic().CloneVolume(slicer.mrmlScene, volume, "Other")
    ui.inputSelector.setCurrentNode(other)
    click(ui.applyButton)
    widget.exit()
    until(lambda: ui.statusLabel.text == "Done: Other segmentation.")
    widget.enter()
    assert ui.resultSelector.currentNode().GetName() == "Other segmentation"
    assert ui.applyButton.enabled


def test_the_result_selector_lists_results_only(segmented, scene):
    scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "By hand")
    assert segmented.ui.resultSelector.nodeCount() == 1
