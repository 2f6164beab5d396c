"""Stand-ins for the CTK widgets of the panel: same properties, signals and behaviour."""

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal

from harness.path_line_edit import ctkPathLineEdit

_SHOWN_TO_PARENT = "visibilityToParent"


class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A button that collapses the widgets below it.

    A widget that was hidden explicitly stays hidden when the section is expanded. A widget that is shown
    while the section is collapsed becomes visible when the section is expanded.
    """

    contentsCollapsed = Signal(bool)
    COLLAPSED_HEIGHT = 14  # below the button

    def __init__(self, text: Any = "", parent: Any = None) -> None:
        title, owner = (text, parent) if isinstance(text, str) else ("", text)
        super().__init__(owner)
        self._collapsed = False
        self._forcing = False
        self.setText(title)
        self.setCheckable(True)
        self.setChecked(True)
        self.setSizePolicy(QtWidgets.QSizePolicy.Minimum, QtWidgets.QSizePolicy.Preferred)
        self.setContentsMargins(0, self._buttonHeight(), 0, 0)
        self.toggled.connect(lambda checked: self._fold(not checked))

    def _getCollapsed(self) -> bool:
        return self._collapsed

    def _setCollapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    collapsed = Property(bool, _getCollapsed, _setCollapsed)

    def hitButton(self, position: QtCore.QPoint) -> bool:
        return position.y() < self._buttonHeight()

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        child = event.child()
        if event.type() == QtCore.QEvent.ChildAdded and child.isWidgetType():
            child.installEventFilter(self)
        super().childEvent(event)

    def setVisible(self, visible: bool) -> None:
        self._forcing = True
        super().setVisible(visible)
        self._forcing = False
        self._hideOrShowChildren()

    def eventFilter(self, child: Any, event: QtCore.QEvent) -> bool:
        """Record that other code hid or showed a child widget."""
        shown = event.type() == QtCore.QEvent.ShowToParent
        if not self._forcing and (shown or event.type() == QtCore.QEvent.HideToParent):
            child.setProperty(_SHOWN_TO_PARENT, shown)
            if shown and self._collapsed:
                self._hideOrShow(child)
        return False

    def paintEvent(self, _event: Any) -> None:
        style, painter = self.style(), QtGui.QPainter(self)
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.state |= QtWidgets.QStyle.State_Raised
        option.rect.setHeight(self._buttonHeight())
        style.drawControl(QtWidgets.QStyle.CE_PushButtonBevel, option, painter, self)
        arrow = QtWidgets.QStyleOption()
        arrow.initFrom(self)
        side, height = self._indicator(), option.rect.height()
        arrow.rect = QtCore.QRect((height - side) // 2, (height - side) // 2, side, side)
        right, down = (
            QtWidgets.QStyle.PE_IndicatorArrowRight,
            QtWidgets.QStyle.PE_IndicatorArrowDown,
        )
        style.drawPrimitive(right if self._collapsed else down, arrow, painter, self)
        option.rect.setLeft(arrow.rect.right() + 6)
        middle = int(QtCore.Qt.AlignVCenter | QtCore.Qt.AlignLeft)
        role = QtGui.QPalette.ButtonText
        style.drawItemText(
            painter, option.rect, middle, option.palette, self.isEnabled(), self.text, role
        )
        painter.end()

    def _indicator(self) -> int:
        return self.style().pixelMetric(QtWidgets.QStyle.PM_IndicatorWidth)

    def _buttonHeight(self) -> int:
        return max(QtGui.QFontMetrics(self.font).height(), self._indicator()) + 8

    def _fold(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        self._hideOrShowChildren()
        height = self._buttonHeight() + self.COLLAPSED_HEIGHT
        self.setMinimumHeight(height if collapsed else 0)
        self.setMaximumHeight(height if collapsed else 16777215)
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    def _hideOrShowChildren(self) -> None:
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                self._hideOrShow(child)

    def _hideOrShow(self, child: QtWidgets.QWidget) -> None:
        hidden = child.property(_SHOWN_TO_PARENT) is False
        self._forcing = True
        child.setVisible(not self._collapsed and not hidden)
        if not hidden:  # as if it had never been set
            child.setAttribute(QtCore.Qt.WA_WState_ExplicitShowHide, False)
        self._forcing = False


class ctkSliderWidget(QtWidgets.QWidget):
    """A slider and a spin box for the same number."""

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
        self._slider.actionTriggered.connect(
            lambda _action: self._lead(self._slider.property("sliderPosition"))
        )

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
