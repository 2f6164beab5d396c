"""The section Result: the figures of a result and a verdict on each structure."""

from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from FedCrossSlicerLib.errors import InferenceError
from FedCrossSlicerLib.panel.tables import fillHeader, fillRows
from FedCrossSlicerLib.scene.figures import (
    Figure,
    Thresholds,
    Verdict,
    asText,
    readFigures,
    verdict,
    verdictLabel,
    writeFigures,
)
from FedCrossSlicerLib.scene.nodes import ResultNodes
from FedCrossSlicerLib.scene.roles import ROLE, SEGMENTATION

# Sign and colour. The colours differ for colour-blind eyes too, on light and on dark backgrounds.
SIGNS = {
    Verdict.AGREE: ("\u2714", "#1a9850"),
    Verdict.LOOK: ("\u25cf", "#c98a00"),
    Verdict.DISTRUST: ("\u2716", "#d73027"),
    Verdict.ABSENT: ("\u2013", "#888888"),
}


class ResultSection:
    """The table of figures, with buttons to copy it and to save it.

    Parameters
    ----------
    ui
        The named widgets of the .ui file.
    """

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self._figures: list[Figure] = []
        self._thresholds = Thresholds()
        ui.resultSelector.addAttribute("vtkMRMLSegmentationNode", ROLE, SEGMENTATION)
        fillHeader(
            ui.figuresTable,
            [_("Structure"), _("mL"), _("Members"), _("Dice"), _("Verdict")],
        )
        ui.copyFiguresButton.connect("clicked(bool)", self._copy)
        ui.csvButton.connect("clicked(bool)", self._save)

    def refresh(self, nodes: ResultNodes | None, thresholds: Thresholds) -> None:
        """Show the figures of a result; an empty table for None."""
        self._figures = readFigures(nodes.figures) if nodes else []
        self._thresholds = thresholds
        self.ui.detailsLabel.text = _detailsText(nodes) if nodes else ""
        self.ui.detailsLabel.visible = nodes is not None
        self.ui.copyFiguresButton.enabled = self.ui.csvButton.enabled = bool(self._figures)
        fillRows(self.ui.figuresTable, [self._row(figure) for figure in self._figures])
        for row, figure in enumerate(self._figures):
            swatch = qt.QColor.fromRgbF(*figure.color)
            self.ui.figuresTable.item(row, 0).setData(qt.Qt.DecorationRole, swatch)
            color = SIGNS[verdict(figure, thresholds)][1]
            self.ui.figuresTable.item(row, 4).setForeground(qt.QBrush(qt.QColor(color)))

    def _row(self, figure: Figure) -> list[str]:
        structureVerdict = verdict(figure, self._thresholds)
        return [
            figure.name,
            f"{figure.volume:.1f}",
            f"{figure.mean:.1f} ({figure.low:.1f} \u2013 {figure.high:.1f})",
            "" if figure.agreement is None else f"{figure.agreement:.2f}",
            f"{SIGNS[structureVerdict][0]} {verdictLabel(structureVerdict)}",
        ]

    def _copy(self, *_args: Any) -> None:
        qt.QApplication.clipboard().setText(asText(self._figures, self._thresholds))

    def _save(self, *_args: Any) -> None:
        path = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(), _("Save the figures"), "figures.csv", "CSV (*.csv)"
        )
        if not path:
            return
        try:
            writeFigures(self._figures, self._thresholds, Path(path))
        except InferenceError as error:
            slicer.util.errorDisplay(str(error))


def _detailsText(nodes: ResultNodes) -> str:
    text = _("{bundle}, {count} members.").format(bundle=nodes.bundleName, count=nodes.members)
    if nodes.computedWith:
        text += " " + _("Computed with {how}.").format(how=nodes.computedWith)
    return text
