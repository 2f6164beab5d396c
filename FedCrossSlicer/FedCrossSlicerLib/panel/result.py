"""The figures of a result, with a verdict on each structure."""

from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from FedCrossSlicerLib.errors import InferenceError
from FedCrossSlicerLib.scene.figures import (
    Figure,
    Thresholds,
    Verdict,
    asText,
    readFigures,
    verdict,
    writeCSV,
)
from FedCrossSlicerLib.scene.nodes import ROLE, SEGMENTATION, ResultNodes

# Sign and colour; the colours are told apart by the colour-blind, too, and on light and dark grounds.
SIGNS = {
    Verdict.AGREE: ("\u2714", "#1a9850"),
    Verdict.LOOK: ("\u25cf", "#c98a00"),
    Verdict.DISTRUST: ("\u2716", "#d73027"),
    Verdict.ABSENT: ("\u2013", "#888888"),
}


class ResultSection:
    """One row a structure; to be copied and saved.

    Parameters
    ----------
    ui
        Named children of the loaded .ui.
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
        """Show a result's figures."""
        table = nodes.figures if nodes else None
        self._figures = readFigures(table) if table is not None else []
        self._thresholds = thresholds
        self.ui.detailsLabel.text = _details(nodes) if nodes else ""
        self.ui.detailsLabel.visible = nodes is not None
        self.ui.copyFiguresButton.enabled = self.ui.csvButton.enabled = bool(self._figures)
        fillRows(self.ui.figuresTable, [self._row(figure) for figure in self._figures])
        for row, figure in enumerate(self._figures):
            swatch = qt.QColor.fromRgbF(*figure.color)
            self.ui.figuresTable.item(row, 0).setData(qt.Qt.DecorationRole, swatch)
            color = SIGNS[verdict(figure, thresholds)][1]
            self.ui.figuresTable.item(row, 4).setForeground(qt.QBrush(qt.QColor(color)))

    def _row(self, figure: Figure) -> list[str]:
        judged = verdict(figure, self._thresholds)
        return [
            figure.name,
            f"{figure.volume:.1f}",
            f"{figure.mean:.1f} ({figure.low:.1f} \u2013 {figure.high:.1f})",
            "" if figure.agreement is None else f"{figure.agreement:.2f}",
            f"{SIGNS[judged][0]} {judged.label()}",
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
            writeCSV(self._figures, self._thresholds, Path(path))
        except InferenceError as error:
            slicer.util.errorDisplay(str(error))


def _details(nodes: ResultNodes) -> str:
    text = _("{bundle}, {count} members.").format(bundle=nodes.bundleName, count=nodes.members)
    if nodes.computed:
        text += " " + _("Computed with {how}.").format(how=nodes.computed)
    return text


def fillHeader(table: Any, titles: list[str]) -> None:
    """Give a table its columns; the first takes what room is left."""
    table.setColumnCount(len(titles))
    table.setHorizontalHeaderLabels(titles)
    table.verticalHeader().setVisible(False)
    header = table.horizontalHeader()
    for position in range(len(titles)):
        mode = qt.QHeaderView.Stretch if position == 0 else qt.QHeaderView.ResizeToContents
        header.setSectionResizeMode(position, mode)
    table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
    table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
    table.setSelectionMode(qt.QAbstractItemView.SingleSelection)
    table.setWordWrap(False)


def fillRows(table: Any, rows: list[list[str]], most: int = 8) -> None:
    """Put texts into a table, which becomes as high as its rows, up to `most` of them."""
    table.setRowCount(len(rows))
    for row, texts in enumerate(rows):
        for position, text in enumerate(texts):
            table.setItem(row, position, qt.QTableWidgetItem(text))
    table.resizeRowsToContents()
    heights = [table.rowHeight(row) for row in range(min(len(rows), most))]
    header = table.verticalHeader().defaultSectionSize  # as high as a row
    table.setFixedHeight(header + sum(heights) + 2 * table.frameWidth)
