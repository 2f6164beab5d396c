"""Qt tables of texts, for the figures and the hot spots."""

from typing import Any

import qt

MAX_VISIBLE_ROWS = 8


def fillHeader(table: Any, titles: list[str]) -> None:
    """Set a table's columns; the first column takes the space that the others leave.

    Parameters
    ----------
    table
        A QTableWidget.
    titles
        The title of each column.
    """
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


def fillRows(table: Any, rows: list[list[str]]) -> None:
    """Set a table's texts and make it as high as its rows, but not higher than `MAX_VISIBLE_ROWS`.

    Parameters
    ----------
    table
        A QTableWidget.
    rows
        The texts of each row.
    """
    table.setRowCount(len(rows))
    for row, texts in enumerate(rows):
        for position, text in enumerate(texts):
            table.setItem(row, position, qt.QTableWidgetItem(text))
    table.resizeRowsToContents()
    heights = [table.rowHeight(row) for row in range(min(len(rows), MAX_VISIBLE_ROWS))]
    header = table.verticalHeader().defaultSectionSize  # as high as a row
    table.setFixedHeight(header + sum(heights) + 2 * table.frameWidth)
