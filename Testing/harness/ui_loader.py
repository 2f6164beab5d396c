"""Loads a .ui file with the stand-ins, for `slicer.util.loadUI`.

A class without a stand-in raises an error here; Qt would use a plain QWidget and report nothing.
"""

import xml.etree.ElementTree as ElementTree
from typing import Any

from PySide6 import QtCore, QtUiTools, QtWidgets

from harness import ctk_widgets, mrml_widgets

STAND_INS = {kind.__name__: kind for kind in (*ctk_widgets.WIDGETS, *mrml_widgets.WIDGETS)}


class QUiLoader(QtUiTools.QUiLoader):
    """Qt's loader with the stand-ins and the scene connections of the .ui file."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        for kind in STAND_INS.values():
            self.registerCustomWidget(kind)

    def load(self, file: Any, parent: Any = None) -> QtWidgets.QWidget:
        description = ElementTree.fromstring(bytes(file.readAll()))
        _refuse_unknown(description)
        connections = _take_connections(description)
        content = QtCore.QBuffer()
        content.setData(ElementTree.tostring(description))
        top = super().load(content, parent)
        for connection in connections:
            _connect(top, connection)
        return top


def _refuse_unknown(description: ElementTree.Element) -> None:
    for widget in description.iter("widget"):
        kind = widget.get("class", "")
        if not kind.startswith("Q") and kind not in STAND_INS:
            raise ValueError(f"The harness has no stand-in for {kind}.")


def _take_connections(description: ElementTree.Element) -> list[dict[str, str]]:
    """Remove and return the connections: Qt cannot connect signals and slots declared in Python."""
    taken = description.find("connections")
    if taken is None:
        return []
    description.remove(taken)
    return [{part.tag: part.text or "" for part in connection} for connection in taken]


def _connect(top: QtWidgets.QWidget, connection: dict[str, str]) -> None:
    """Connect the scene of two widgets as the .ui file describes."""
    if not connection["slot"].startswith("setMRMLScene("):
        return
    sender, receiver = (
        top if top.objectName == name else top.findChild(QtWidgets.QWidget, name)
        for name in (connection["sender"], connection["receiver"])
    )
    sender.mrmlSceneChanged.connect(receiver.setMRMLScene)
