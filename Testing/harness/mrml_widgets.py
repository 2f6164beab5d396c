"""Stand-ins for the qMRML widgets of the panel: Qt widgets that list the nodes of the real scene."""

from typing import Any

import shiboken6
from PySide6 import QtWidgets
from PySide6.QtCore import Property, Signal

_SETTINGS = {
    "noneEnabled": False,
    "addEnabled": True,
    "removeEnabled": True,
    "renameEnabled": False,
    "editEnabled": False,
    "showHidden": False,
    "showChildNodeTypes": True,
    "selectNodeUponCreation": True,
}


class qMRMLWidget(QtWidgets.QWidget):
    """Holds the scene and passes it to its child widgets, as the .ui file connects them."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene: Any = None

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)

    def mrmlScene(self) -> Any:
        return self._scene


def _setting(name: str) -> Any:
    def write(self: "qMRMLNodeComboBox", value: bool) -> None:
        self._settings[name] = value
        self._fill()

    return Property(bool, lambda self: self._settings[name], write)


class qMRMLNodeComboBox(QtWidgets.QWidget):
    """Lists the scene's nodes of the wanted types."""

    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal(str)
    nodeAddedByUser = Signal(object)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.combo = QtWidgets.QComboBox()
        row.addWidget(self.combo)
        self._settings = dict(_SETTINGS)
        self._types: list[str] = []
        self._attributes: list[tuple[str, str, str]] = []
        self._noneDisplay = "None"
        self._baseName = ""
        self._scene: Any = None
        self._observers: list[int] = []
        self._currentID: str | None = None
        self.combo.currentIndexChanged.connect(self._select)

    def setMRMLScene(self, scene: Any) -> None:
        self._forgetScene()
        self._scene = scene
        if scene is not None:
            events = (
                scene.NodeAddedEvent,
                scene.NodeRemovedEvent,
                scene.EndImportEvent,
                scene.EndCloseEvent,
            )
            self._observers = [scene.AddObserver(event, self._onScene) for event in events]
        self._fill()

    def currentNode(self) -> Any:
        if self._scene is None or self._currentID is None:
            return None
        return self._scene.GetNodeByID(self._currentID)

    def setCurrentNode(self, node: Any) -> None:
        self.setCurrentNodeID(node.GetID() if node is not None else None)

    def setCurrentNodeID(self, nodeID: str | None) -> None:
        self._fill()
        none = 0 if self._settings["noneEnabled"] else -1
        self.combo.setCurrentIndex(self.combo.findData(nodeID) if nodeID else none)

    def addAttribute(self, nodeType: str, name: str, value: str) -> None:
        """List nodes of a type only if this attribute has this value."""
        self._attributes.append((nodeType, name, value))
        self._fill()

    def addNode(self) -> Any:
        node = self._scene.AddNewNodeByClass(self._types[0], self._baseName)
        self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def nodeCount(self) -> int:
        return len(self._nodes())

    def _getTypes(self) -> list[str]:
        return self._types

    def _setTypes(self, types: list[str]) -> None:
        self._types = list(types)
        self._fill()

    def _getNoneDisplay(self) -> str:
        return self._noneDisplay

    def _setNoneDisplay(self, text: str) -> None:
        self._noneDisplay = text
        self._fill()

    def _getBaseName(self) -> str:
        return self._baseName

    def _setBaseName(self, name: str) -> None:
        self._baseName = name

    nodeTypes = Property("QStringList", _getTypes, _setTypes)
    noneDisplay = Property(str, _getNoneDisplay, _setNoneDisplay)
    baseName = Property(str, _getBaseName, _setBaseName)
    noneEnabled = _setting("noneEnabled")
    addEnabled = _setting("addEnabled")
    removeEnabled = _setting("removeEnabled")
    renameEnabled = _setting("renameEnabled")
    editEnabled = _setting("editEnabled")
    showHidden = _setting("showHidden")
    showChildNodeTypes = _setting("showChildNodeTypes")
    selectNodeUponCreation = _setting("selectNodeUponCreation")

    def _onScene(self, caller: Any, event: str) -> None:
        if not shiboken6.isValid(self.combo):
            self._forgetScene()  # Qt has deleted the widget, but the scene still has its observers
        elif not (caller.IsClosing() or caller.IsImporting()):
            self._fill()

    def _forgetScene(self) -> None:
        for tag in self._observers:
            self._scene.RemoveObserver(tag)
        self._observers = []

    def _nodes(self) -> list[Any]:
        if self._scene is None:
            return []
        found: list[Any] = []
        for kind in self._types:
            for index in range(self._scene.GetNumberOfNodesByClass(kind)):
                node = self._scene.GetNthNodeByClass(index, kind)
                if self._isListed(node, kind) and node not in found:
                    found.append(node)
        return found

    def _isListed(self, node: Any, kind: str) -> bool:
        rightType = self._settings["showChildNodeTypes"] or node.GetClassName() == kind
        wanted = all(
            node.GetAttribute(name) == value
            for nodeType, name, value in self._attributes
            if node.IsA(nodeType)
        )
        return (
            rightType and wanted and (self._settings["showHidden"] or not node.GetHideFromEditors())
        )

    def _fill(self) -> None:
        """List the nodes again; select the current node if it still exists, or else the first."""
        entries = [(self._noneDisplay, None)] if self._settings["noneEnabled"] else []
        entries += [(node.GetName(), node.GetID()) for node in self._nodes()]
        identifiers = [identifier for _, identifier in entries]
        self.combo.blockSignals(True)
        self.combo.clear()
        for name, identifier in entries:
            self.combo.addItem(name, identifier)
        kept = identifiers.index(self._currentID) if self._currentID in identifiers else 0
        self.combo.setCurrentIndex(kept if entries else -1)
        self.combo.blockSignals(False)
        self._select(self.combo.property("currentIndex"))

    def _select(self, index: int) -> None:
        chosen = self.combo.itemData(index) if index >= 0 else None
        if chosen != self._currentID:
            self._currentID = chosen
            self.currentNodeIDChanged.emit(chosen or "")
            self.currentNodeChanged.emit(self.currentNode())


WIDGETS = (qMRMLWidget, qMRMLNodeComboBox)
