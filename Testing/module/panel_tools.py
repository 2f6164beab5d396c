"""Helpers for tests of the panel: click, wait, read what is displayed."""

import time

import slicer
from PySide6 import QtCore, QtTest, QtWidgets


def click(button):
    """Click the middle of a button, or the box of a check box."""
    where = QtCore.QPoint(8, button.height // 2)
    place = {"pos": where} if isinstance(button, QtWidgets.QCheckBox) else {}
    QtTest.QTest.mouseClick(button, QtCore.Qt.LeftButton, **place)


def until(condition, seconds=120.0):
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


def finished(result):
    """A job that needs no command."""
    yield from ()
    return result


def segment(ready, volume):
    """Segment a volume with the panel; return the panel."""
    ready.ui.inputSelector.setCurrentNode(volume)
    click(ready.ui.applyButton)
    until(lambda: ready.ui.applyButton.enabled)
    return ready
