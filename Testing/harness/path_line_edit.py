"""Stands in for ctkPathLineEdit: a path with a history, kept in the application's settings.

As in CTK, a path that matches no name filter is invalid, for instance the path of a folder, and an
invalid path emits no signal. Without filters every path except an empty one is valid.
"""

import re
from typing import Any

from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal

_MOST = 5  # entries of the history


class ctkPathLineEdit(QtWidgets.QWidget):
    """An editable combo box and a browse button."""

    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self._combo = QtWidgets.QComboBox()
        self._combo.setEditable(True)
        self._combo.setInsertPolicy(QtWidgets.QComboBox.NoInsert)
        self._combo.setCompleter(None)
        expanding, fixed = QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed
        self._combo.setSizePolicy(expanding, fixed)
        self._combo.setMinimumWidth(40)
        self._browse = QtWidgets.QToolButton()
        self._browse.setText("...")
        row.addWidget(self._combo)
        row.addWidget(self._browse)
        self._combo.editTextChanged.connect(self._onText)
        self._key = ""
        self._nameFilters: list[str] = []
        self._valid = False

    def comboBox(self) -> QtWidgets.QComboBox:
        return self._combo

    def addCurrentPathToHistory(self) -> None:
        path = self._getPath()
        if not path:
            return
        kept = [path, *(other for other in self._history() if other != path)][:_MOST]
        QtCore.QSettings().setValue(self._settingName(), kept)
        self._combo.blockSignals(True)
        self._combo.clear()
        self._combo.addItems(kept)
        self._combo.setCurrentIndex(0)
        self._combo.blockSignals(False)

    def _onText(self, text: str) -> None:
        valid = bool(re.fullmatch(self._pattern(), text))
        if valid:
            self.currentPathChanged.emit(text)
        if valid != self._valid:
            self._valid = valid
            self.validInputChanged.emit(valid)

    def _pattern(self) -> str:
        endings = re.findall(r"\*\.(\w+)", " ".join(self._nameFilters))
        return "|".join(rf".*\.{ending}" for ending in endings) or ".+"

    def _settingName(self) -> str:
        return f"ctkPathLineEdit/{self._key or self.objectName}"

    def _history(self) -> list[str]:
        kept = QtCore.QSettings().value(self._settingName(), [])
        return [kept] if isinstance(kept, str) else list(kept or [])

    def _getPath(self) -> str:
        return self._combo.property("currentText")

    def _setPath(self, path: str) -> None:
        if path != self._getPath():
            self._combo.setEditText(path)

    def _getKey(self) -> str:
        return self._key

    def _setKey(self, key: str) -> None:
        """Set the key of the history and show its last path."""
        self._key = key
        path = self._getPath()
        self._combo.clear()
        self._combo.addItems(self._history())
        if path:
            self._setPath(path)

    def _getNameFilters(self) -> list[str]:
        return self._nameFilters

    def _setNameFilters(self, filters: list[str]) -> None:
        self._nameFilters = list(filters)

    def _getBrowse(self) -> bool:
        return self._browse.isVisibleTo(self)

    def _setBrowse(self, visible: bool) -> None:
        self._browse.setVisible(visible)

    currentPath = Property(str, _getPath, _setPath)
    settingKey = Property(str, _getKey, _setKey)
    nameFilters = Property("QStringList", _getNameFilters, _setNameFilters)
    showBrowseButton = Property(bool, _getBrowse, _setBrowse)
