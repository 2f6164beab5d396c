"""The panel with a result of a calibrated bundle, and the explanations of its figures."""

import json

import pytest
import slicer
from panel_tools import click, texts
from PySide6 import QtCore, QtWidgets

WARNING = (
    "\u26a0 This scan is unlike those of the training hospitals: "
    "voxel size 4.0 mm, in training 0.6 to 1.2 mm; intensities."
)


def nodes(panel):
    from FedCrossSlicerLib.scene.nodes import ResultNodes

    return ResultNodes.of(panel.ui.resultSelector.currentNode())


def test_the_figures_are_those_of_the_calibration(calibrated):
    ui = calibrated.ui
    assert texts(ui.figuresTable) == [
        [
            "Prostate\n31.2 mL (90 %: 27.9 to 34.6)",
            "\u2714 likely good\nexpected Dice 0.86 \u00b1 0.05",
        ]
    ]
    assert "29.80 to 33.00 mL" in ui.figuresTable.item(0, 0).toolTip()
    assert not ui.thresholdSection.visible


def test_an_unfamiliar_scan_has_a_warning_above_the_figures(calibrated):
    ui = calibrated.ui
    assert ui.unfamiliarFrame.visible
    assert ui.unfamiliarLabel.text == WARNING
    assert ui.unfamiliarFrame.geometry.bottom() < ui.figuresTable.geometry.top()


def test_a_result_without_calibration_is_shown_without_its_widgets(segmented):
    ui = segmented.ui
    assert not ui.unfamiliarFrame.visible
    assert ui.thresholdSection.visible
    assert not ui.contoursLegend.visible
    widgets = (ui.contoursCheck, ui.contourCombo, ui.contours3DCheck)
    assert not any(widget.enabled for widget in widgets)


def test_texts_of_a_result_are_shown_as_plain_text(calibrated):
    from FedCrossSlicerLib.bundle.result import Familiarity
    from FedCrossSlicerLib.scene.figures import recordFamiliarity

    ui, table = calibrated.ui, nodes(calibrated).figures
    bold = "<b>bold</b> <img src='file://host/x.png'>"
    recordFamiliarity(table, Familiarity(True, (bold,), 9.0, 6.0, 0.05))
    table.GetTable().GetColumnByName("structure").SetValue(0, bold + "x" * 200)
    table.Modified()
    assert bold in ui.unfamiliarLabel.text
    assert ui.unfamiliarLabel.textFormat == QtCore.Qt.PlainText
    cell = ui.figuresTable.item(0, 0)
    assert cell.text().startswith("<b>bold</b>")
    assert len(cell.text().splitlines()[0]) <= 60
    assert "<b>bold" not in cell.toolTip()
    assert "&lt;b&gt;bold" in cell.toolTip()


def test_the_table_is_as_high_as_its_texts_at_every_width(calibrated, widget):
    ui, table = calibrated.ui, nodes(calibrated).figures
    name = "Seminal vesicles, left and right, with the ampullae"
    table.GetTable().GetColumnByName("structure").SetValue(0, name)
    table.Modified()
    heights = []
    for width in (900, 400, 900):
        widget.resize(width, 1400)
        slicer.app.processEvents()
        heights.append(ui.figuresTable.rowHeight(0))
        used = ui.figuresTable.horizontalHeader().height + heights[-1]
        assert 0 <= ui.figuresTable.height - used <= 4
    assert heights[1] > heights[0] == heights[2]


def test_the_controls_of_the_contours_change_the_views_at_once(calibrated):
    ui, contours = calibrated.ui, nodes(calibrated).contours
    display = contours.GetDisplayNode()
    assert ui.contoursCheck.checked
    assert display.GetVisibility()
    assert "at most 10 % of the inner contour is not the structure" in ui.contoursLegend.text
    assert "the outer contour misses at most 10 % of the structure" in ui.contoursLegend.text
    assert "#00ffff" in ui.contoursLegend.text
    ui.contourCombo.currentText = "5 %"
    assert display.GetSegmentVisibility("inner_5_prostate")
    assert not display.GetSegmentVisibility("inner_10_prostate")
    assert "at most 5 % of" in ui.contoursLegend.text
    click(ui.contours3DCheck)
    assert display.GetVisibility3D()
    click(ui.contoursCheck)
    assert not display.GetVisibility()
    assert not ui.contoursLegend.visible
    assert not ui.contourCombo.enabled
    parameters = calibrated.logic.getParameterNode()
    assert (parameters.showContours, parameters.contourPercent.value) == (False, 5)


def test_the_copied_and_saved_figures_have_the_calibration(calibrated, monkeypatch, tmp_path):
    import qt

    click(calibrated.ui.copyFiguresButton)
    lines = QtWidgets.QApplication.clipboard().text().splitlines()
    assert lines[1].endswith("\t27.9\t34.6\t0.9\t0.86\t0.05\tlikely good")
    assert lines[2] == WARNING[2:]
    target = str(tmp_path / "figures.csv")
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *_: target)
    click(calibrated.ui.csvButton)
    row = (tmp_path / "figures.csv").read_text().splitlines()[1]
    assert ",27.9,34.6,0.9,0.86,0.05,agree,predicted_dice,yes," in row


def test_the_figures_follow_the_table_of_the_scene(calibrated):
    """A sequence browser replaces the content of the table at another time point."""
    table = nodes(calibrated).figures
    entry = json.loads(table.GetAttribute("FedCross.Familiarity"))
    table.SetAttribute("FedCross.Familiarity", json.dumps({**entry, "is_unusual": False}))
    table.GetTable().GetColumnByName("volume_ml").SetValue(0, 12.5)
    table.Modified()
    assert not calibrated.ui.unfamiliarFrame.visible
    assert "12.5 mL" in texts(calibrated.ui.figuresTable)[0][0]


BUTTONS = {
    "volumeHelp": "The volume",
    "verdictHelp": "The verdict",
    "unfamiliarHelp": "The warning of an unfamiliar scan",
    "contoursHelp": "The inner and the outer contour",
    "membersHelp": "The outlines of the members",
    "measureHelp": "The heat map",
    "reviewHelp": "The list of hot spots",
}


@pytest.mark.parametrize("name", BUTTONS)
def test_a_click_opens_the_explanation(calibrated, name):
    button = getattr(calibrated.ui, name)
    assert button.toolTip == f"Explanation: {BUTTONS[name]}"
    button.click()
    window = calibrated.help.window
    assert window.visible
    assert window.findChild(QtWidgets.QComboBox).currentText.strip() == BUTTONS[name]
    text = window.findChild(QtWidgets.QTextBrowser).plainText
    assert text.startswith(BUTTONS[name])
    for word in ("Shown", "Source", "Good for", "Not good for"):
        assert word in text
    window.close()


def test_the_window_leads_to_every_section_of_the_page(calibrated):
    calibrated.help.open("The volume")
    window = calibrated.help.window
    sections = window.findChild(QtWidgets.QComboBox)
    page = window.findChild(QtWidgets.QTextBrowser)
    sections.setCurrentIndex(sections.findText("Measures"))
    assert page.plainText.startswith("Measures")
    assert "|---|" not in page.plainText  # Markdown tables are shown as tables
    assert "<a href" not in page.toHtml()
    assert "<img" not in page.toHtml()
    window.close()


def test_without_the_page_the_window_says_so(widget, monkeypatch, tmp_path):
    from FedCrossSlicerLib.panel.widgets import help_window

    monkeypatch.setattr(help_window, "documentationPage", lambda name: tmp_path / name)
    explanations = help_window.Help(widget.self().ui)
    explanations.open("The volume")
    text = explanations.window.findChild(QtWidgets.QTextBrowser).plainText
    assert text == "The page uncertainty.md is not installed."
    explanations.window.close()
