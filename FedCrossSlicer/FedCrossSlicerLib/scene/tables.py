"""Table nodes whose content is the same after the scene was saved and opened again.

Slicer saves tables as tab-separated text files, which limits numbers and texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import slicer
import vtk

from fedcross.contract.plain_text import plain_text

if TYPE_CHECKING:
    from slicer import vtkMRMLTableNode

FULL_WIDTH_HASH = "\uff03"


def newTable(name: str, columns: Mapping[str, Sequence[Any]]) -> vtkMRMLTableNode:
    """Return a new table node.

    Parameters
    ----------
    name
        The node's name.
    columns
        Title and values of each column: strings, integers or floats. Strings are stored as `plainText`
        returns them. Floats are rounded to six digits, which is what the file holds.
    """
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", name)
    for title, values in columns.items():
        node.AddColumn(_newColumn(title, values))
    node.SetUseColumnTitleAsColumnHeader(True)
    node.SetLocked(True)
    return node


def plainText(text: str) -> str:
    """Return a text without the characters that Slicer's table reader cannot read.

    As `plain_text`; then several spaces become one, double quotes become single quotes, and the hash
    sign becomes a full-width hash sign.
    """
    shown = " ".join(plain_text(text).split())
    return shown.replace('"', "'").replace("#", FULL_WIDTH_HASH)


def readColumn(node: vtkMRMLTableNode, title: str) -> list[Any]:
    """Return the values of a column; an empty list if the table does not have the column."""
    array = node.GetTable().GetColumnByName(title)
    return [array.GetValue(row) for row in range(array.GetNumberOfValues())] if array else []


def readRows(
    node: vtkMRMLTableNode, kinds: Mapping[str, Callable[[Any], Any]]
) -> list[tuple[Any, ...]]:
    """Return the rows of some columns.

    Parameters
    ----------
    node
        The table.
    kinds
        Title of each column, and what converts its values, such as `float`.

    Returns
    -------
    list of tuple
        Empty if a column is missing or a value is of another kind: the user can edit the table, and the
        file of a saved table may be lost.
    """
    columns = [readColumn(node, title) for title in kinds]
    try:
        return [
            tuple(convert(value) for convert, value in zip(kinds.values(), row, strict=True))
            for row in zip(*columns, strict=True)
        ]
    except (ValueError, TypeError):
        return []


def _newColumn(title: str, values: Sequence[Any]) -> vtk.vtkAbstractArray:
    array: vtk.vtkStringArray | vtk.vtkIntArray | vtk.vtkDoubleArray
    stored: list[Any]
    if all(isinstance(value, str) for value in values):
        array, stored = vtk.vtkStringArray(), [plainText(value) for value in values]
    elif all(isinstance(value, int) for value in values):
        array, stored = vtk.vtkIntArray(), list(values)
    else:
        array, stored = vtk.vtkDoubleArray(), [float(f"{value:.6g}") for value in values]
    array.SetName(title)
    for value in stored:
        array.InsertNextValue(value)
    return array
