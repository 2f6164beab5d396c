"""Table nodes whose content comes back the same after saving, as Slicer does to tab-separated files."""

from collections.abc import Mapping, Sequence
from typing import Any

import slicer
import vtk

FULL_WIDTH_HASH = "\uff03"


def newTable(name: str, columns: Mapping[str, Sequence[Any]]) -> Any:
    """Return a new table node with columns of strings, integers or floats.

    Floats are rounded to the six digits that the file will hold, and names lose tabs, line breaks and
    quotes, on which Slicer's reader trips, and have another hash sign, after which it reads nothing.
    """
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", name)
    for title, values in columns.items():
        node.AddColumn(_column(title, values))
    node.SetUseColumnTitleAsColumnHeader(True)
    node.SetLocked(True)
    return node


def plain(text: str) -> str:
    """Return a text as a table keeps it."""
    return " ".join(text.replace('"', "'").replace("#", FULL_WIDTH_HASH).split())


def column(node: Any, title: str) -> list[Any]:
    """Return a column's values; empty when the table lacks it."""
    array = node.GetTable().GetColumnByName(title)
    return [array.GetValue(row) for row in range(array.GetNumberOfValues())] if array else []


def _column(title: str, values: Sequence[Any]) -> Any:
    if all(isinstance(value, str) for value in values):
        array = vtk.vtkStringArray()
        kept = [plain(value) for value in values]
    elif all(isinstance(value, int) for value in values):
        array = vtk.vtkIntArray()
        kept = list(values)
    else:
        array = vtk.vtkDoubleArray()
        kept = [float(f"{value:.6g}") for value in values]
    array.SetName(title)
    for value in kept:
        array.InsertNextValue(value)
    return array
