"""The section Result: the figures of a result and a verdict on each structure."""

import html
from pathlib import Path
from typing import Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from fedcross.contract.figures import verdict_of
from fedcross.contract.plain_text import plain_text
from fedcross.contract.verdict import Thresholds, Verdict
from FedCrossSlicerLib.bundle.result import Familiarity
from FedCrossSlicerLib.display.report import (
    asText,
    basisText,
    unfamiliarText,
    verdictText,
    volumeText,
    writeFigures,
)
from FedCrossSlicerLib.errors import InferenceError
from FedCrossSlicerLib.panel.widgets.tables import TextTable
from FedCrossSlicerLib.scene.figures import Figure, readFamiliarity, readFigures
from FedCrossSlicerLib.scene.nodes import ResultNodes
from FedCrossSlicerLib.scene.roles import ROLE, SEGMENTATION
from FedCrossSlicerLib.scene.sequences import displayedTimePoint, segmentedTimePoint

# Sign and colour. The colours differ for colour-blind eyes too, on light and on dark backgrounds.
SIGNS = {
    Verdict.AGREE: ("\u2714", "#1a9850"),
    Verdict.LOOK: ("\u25cf", "#c98a00"),
    Verdict.DISTRUST: ("\u2716", "#d73027"),
    Verdict.ABSENT: ("\u2013", "#888888"),
}
NAME_CHARACTERS = 60
"""Longest name of a structure in the table; its tool tip holds the whole name."""


class ResultSection:
    """The warning of an unfamiliar scan, and the table of figures with buttons to copy and save it.

    Parameters
    ----------
    ui
        The named widgets of the .ui file.
    """

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self._nodes: ResultNodes | None = None
        # Nodes that a sequence browser changes, and the tags of their observers.
        self._observed: list[tuple[Any, int]] = []
        self._figures: list[Figure] = []
        self._familiarity: Familiarity | None = None
        self._thresholds = Thresholds()
        ui.resultSelector.addAttribute("vtkMRMLSegmentationNode", ROLE, SEGMENTATION)
        self._table = TextTable(ui.figuresTable, [_("Structure"), _("Verdict")], wrapped=True)
        ui.copyFiguresButton.connect("clicked(bool)", self._copy)
        ui.csvButton.connect("clicked(bool)", self._save)

    def refresh(self, nodes: ResultNodes | None, thresholds: Thresholds) -> None:
        """Show the figures of a result; an empty table for None."""
        self._unobserve()
        self._nodes, self._thresholds = nodes, thresholds
        for node in (nodes.figures, nodes.volume) if nodes else ():
            if node is not None:
                tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._show)
                self._observed.append((node, tag))
        self._show()

    def release(self) -> None:
        """Observe nothing and disconnect the timer."""
        self._unobserve()
        self._table.release()

    def _unobserve(self) -> None:
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._observed = []

    def _show(self, *_args: Any) -> None:
        nodes = self._nodes
        self._figures = readFigures(nodes.figures) if nodes else []
        self._familiarity = readFamiliarity(nodes.figures) if nodes else None
        warning = unfamiliarText(self._familiarity)
        self.ui.unfamiliarLabel.text = f"\u26a0 {warning}"
        self.ui.unfamiliarFrame.visible = bool(warning)
        self.ui.detailsLabel.text = _detailsText(nodes) if nodes else ""
        self.ui.detailsLabel.visible = nodes is not None
        self.ui.copyFiguresButton.enabled = self.ui.csvButton.enabled = bool(self._figures)
        self.ui.thresholdSection.visible = any(not each.predicted for each in self._figures)
        self._fillTable(nodes.members if nodes else 0)

    def _fillTable(self, members: int) -> None:
        table, thresholds = self.ui.figuresTable, self._thresholds
        verdicts = [verdict_of(figure, thresholds) for figure in self._figures]
        rows = []
        for figure, found in zip(self._figures, verdicts, strict=True):
            judgement = f"{SIGNS[found][0]} {verdictText(figure, thresholds)}\n{basisText(figure)}"
            name = plain_text(figure.name, NAME_CHARACTERS)
            rows.append([f"{name}\n{volumeText(figure, members)}", judgement.rstrip()])
        self._table.fill(rows)
        for row, (figure, found) in enumerate(zip(self._figures, verdicts, strict=True)):
            swatch = qt.QColor.fromRgbF(*figure.color)
            table.item(row, 0).setData(qt.Qt.DecorationRole, swatch)
            table.item(row, 1).setForeground(qt.QBrush(qt.QColor(SIGNS[found][1])))
            for column in (0, 1):
                table.item(row, column).setToolTip(_membersHTML(figure))

    def _copy(self, *_args: Any) -> None:
        text = asText(self._figures, self._thresholds, self._familiarity)
        qt.QApplication.clipboard().setText(text)

    def _save(self, *_args: Any) -> None:
        path = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(), _("Save the figures"), "figures.csv", "CSV (*.csv)"
        )
        if not path:
            return
        try:
            writeFigures(self._figures, self._thresholds, Path(path), self._familiarity)
        except InferenceError as error:
            slicer.util.errorDisplay(str(error))


def _membersHTML(figure: Figure) -> str:
    """The figures of the members for a tool tip; the name of the structure is escaped."""
    lines = [
        f"<b>{html.escape(figure.name)}</b>",
        _("Volume of the members: mean {mean} mL, {low} to {high} mL").format(
            mean=f"{figure.mean:.2f}", low=f"{figure.low:.2f}", high=f"{figure.high:.2f}"
        ),
    ]
    if figure.agreement is not None:
        lines.append(
            _("Agreement (mean Dice of all pairs of members): {dice}").format(
                dice=f"{figure.agreement:.2f}"
            )
        )
    return "<qt>" + "<br>".join(lines) + "</qt>"


def _detailsText(nodes: ResultNodes) -> str:
    text = _("{bundle}, {count} members.").format(bundle=nodes.bundleName, count=nodes.members)
    if nodes.computedWith:
        text += " " + _("Computed with {how}.").format(how=nodes.computedWith)
    own, shown = segmentedTimePoint(nodes), displayedTimePoint(nodes.volume)
    if own and shown not in ("", own):
        text += " " + _("This is the result of {own}; the volume shows {shown}.").format(
            own=own, shown=shown
        )
    if not readFigures(nodes.figures):
        text += " " + _("The figures of this result are no longer in the scene.")
    return text
