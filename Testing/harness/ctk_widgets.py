"""Stand-ins for the CTK widgets of the panel: same properties, signals and manners, plain looks."""

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal

HEADER = 22


class ctkCollapsibleButton(QtWidgets.QWidget):
    """A titled section that folds away."""

    contentsCollapsed = Signal(bool)

    def __init__(self, text: Any = "", parent: Any = None) -> None:
        title, owner = (text, parent) if isinstance(text, str) else ("", text)
        super().__init__(owner)
        self._title = title
        self._collapsed = False
        self.setContentsMargins(4, HEADER, 4, 2)

    def _getText(self) -> str:
        return self._title

    def _setText(self, text: str) -> None:
        self._title = text
        self.update()

    def _getCollapsed(self) -> bool:
        return self._collapsed

    def _setCollapsed(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                child.setVisible(not collapsed)
        self.setMaximumHeight(HEADER if collapsed else 16777215)
        self.contentsCollapsed.emit(collapsed)

    text = Property(str, _getText, _setText)
    collapsed = Property(bool, _getCollapsed, _setCollapsed)

    def mousePressEvent(self, event: Any) -> None:
        if event.position().y() < HEADER:
            self._setCollapsed(not self._collapsed)

    def paintEvent(self, event: Any) -> None:
        colors = QtWidgets.QApplication.palette()
        painter = QtGui.QPainter(self)
        header = QtCore.QRect(0, 0, QtWidgets.QWidget.width(self), HEADER - 2)
        painter.fillRect(header, colors.color(QtGui.QPalette.Button))
        painter.setPen(colors.color(QtGui.QPalette.ButtonText))
        mark = "\u25b8" if self._collapsed else "\u25be"
        painter.drawText(
            header.adjusted(6, 0, 0, 0), QtCore.Qt.AlignVCenter, f"{mark} {self._title}"
        )
        painter.end()


class ctkPathLineEdit(QtWidgets.QWidget):
    """A path with a history and a browse button."""

    currentPathChanged = Signal(str)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.edit = QtWidgets.QLineEdit()
        browse = QtWidgets.QToolButton()
        browse.setText("...")
        row.addWidget(self.edit)
        row.addWidget(browse)
        self.edit.textChanged.connect(self.currentPathChanged.emit)
        self.history: list[str] = []
        self._key = ""
        self._nameFilters: list[str] = []

    def _getPath(self) -> str:
        return self.edit.property("text")

    def _setPath(self, path: str) -> None:
        if path != self._getPath():
            self.edit.setText(path)

    def _getKey(self) -> str:
        return self._key

    def _setKey(self, key: str) -> None:
        self._key = key

    def _getNameFilters(self) -> list[str]:
        return self._nameFilters

    def _setNameFilters(self, filters: list[str]) -> None:
        self._nameFilters = list(filters)

    currentPath = Property(str, _getPath, _setPath)
    settingKey = Property(str, _getKey, _setKey)
    nameFilters = Property("QStringList", _getNameFilters, _setNameFilters)

    def addCurrentPathToHistory(self) -> None:
        self.history.append(self._getPath())


class ctkSliderWidget(QtWidgets.QWidget):
    """A slider and a spin box that show one number."""

    valueChanged = Signal(float)
    STEPS = 1000

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self._slider = QtWidgets.QSlider(QtCore.Qt.Horizontal)
        self._slider.setRange(0, self.STEPS)
        self._box = QtWidgets.QDoubleSpinBox()
        row.addWidget(self._slider)
        row.addWidget(self._box)
        self._box.valueChanged.connect(self._follow)
        self._slider.sliderMoved.connect(self._lead)

    def _follow(self, value: float) -> None:
        low, high = self._box.property("minimum"), self._box.property("maximum")
        self._slider.setValue(round(self.STEPS * (value - low) / (high - low)) if high > low else 0)
        self.valueChanged.emit(value)

    def _lead(self, step: int) -> None:
        low, high = self._box.property("minimum"), self._box.property("maximum")
        self._box.setValue(low + step / self.STEPS * (high - low))

    @staticmethod
    def _ofBox(kind: type, name: str) -> Any:
        return Property(
            kind,
            lambda self: self._box.property(name),
            lambda self, value: self._box.setProperty(name, value),
        )

    value = _ofBox(float, "value")
    minimum = _ofBox(float, "minimum")
    maximum = _ofBox(float, "maximum")
    singleStep = _ofBox(float, "singleStep")
    decimals = _ofBox(int, "decimals")
    suffix = _ofBox(str, "suffix")


WIDGETS = (ctkCollapsibleButton, ctkPathLineEdit, ctkSliderWidget)
