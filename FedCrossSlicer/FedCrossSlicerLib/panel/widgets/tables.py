"""Qt tables of texts, for the figures and the hot spots."""

from typing import Any

import qt

from FedCrossSlicerLib.panel.widgets.timer import PollTimer

MAX_VISIBLE_ROWS = 8


class TextTable:
    """A table of texts that is as high as its rows, but not higher than `MAX_VISIBLE_ROWS`.

    The first column takes the space that the others leave.

    Parameters
    ----------
    table
        A QTableWidget.
    titles
        The title of each column.
    wrapped
        Whether long texts continue on the next line; otherwise they are cut.
    """

    def __init__(self, table: Any, titles: list[str], wrapped: bool = False) -> None:
        self._table = table
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
        table.setWordWrap(wrapped)
        # At the signal the column does not have its new width yet.
        self._timer = PollTimer(self._fitHeight, milliseconds=0, singleShot=True)
        header.connect("sectionResized(int,int,int)", self._onResized)

    def fill(self, rows: list[list[str]]) -> None:
        """Set the texts of each row."""
        self._table.setRowCount(len(rows))
        for row, texts in enumerate(rows):
            for position, text in enumerate(texts):
                self._table.setItem(row, position, qt.QTableWidgetItem(text))
        self._fitHeight()

    def release(self) -> None:
        """Disconnect the timer."""
        self._timer.release()

    def _onResized(self, *_args: Any) -> None:
        self._timer.start()

    def _fitHeight(self) -> None:
        table = self._table
        table.resizeRowsToContents()
        heights = [table.rowHeight(row) for row in range(min(table.rowCount, MAX_VISIBLE_ROWS))]
        header = table.horizontalHeader().height
        table.setFixedHeight(header + sum(heights) + 2 * table.frameWidth)
