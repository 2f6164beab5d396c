"""Connects widgets to parameters. As in Slicer, only exact widget classes are accepted."""

import enum
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6 import QtWidgets

from harness import ctk_widgets, mrml_widgets


class _Connector:
    """Reads and writes one widget, and calls a function when the user changes it."""

    def __init__(self, widget: Any, signal: str) -> None:
        self.widget = widget
        self._signal = signal
        self._callback: Callable[..., None] | None = None

    def connect(self, callback: Callable[[], None]) -> None:
        self._callback = lambda *_: callback()
        getattr(self.widget, self._signal).connect(self._callback)

    def disconnect(self) -> None:
        getattr(self.widget, self._signal).disconnect(self._callback)

    def read(self) -> Any:
        raise NotImplementedError

    def write(self, value: Any) -> None:
        raise NotImplementedError


class _ByProperty(_Connector):
    """A widget with a property that holds the value."""

    def __init__(self, widget: Any, signal: str, name: str, kind: type) -> None:
        super().__init__(widget, signal)
        self._name = name
        self._kind = kind

    def read(self) -> Any:
        return self._kind(self.widget.property(self._name))

    def write(self, value: Any) -> None:
        self.widget.setProperty(self._name, str(value) if isinstance(value, Path) else value)


class _ByNode(_Connector):
    """A node selector."""

    def __init__(self, widget: Any, nodeClass: str) -> None:
        super().__init__(widget, "currentNodeChanged")
        widget.nodeTypes = [nodeClass]

    def read(self) -> Any:
        return self.widget.currentNode()

    def write(self, value: Any) -> None:
        self.widget.setCurrentNode(value)


class _ByEntry(_Connector):
    """A combo box that lists the values; an enumeration may name them with `label()`."""

    def __init__(self, widget: Any, values: list[Any], labels: list[str]) -> None:
        super().__init__(widget, "currentIndexChanged")
        self._values = values
        widget.clear()
        widget.addItems(labels)

    def read(self) -> Any:
        return self._values[self.widget.property("currentIndex")]

    def write(self, value: Any) -> None:
        self.widget.setProperty("currentIndex", self._values.index(value))


def create(widget: Any, kind: type, annotations: tuple[Any, ...]) -> _Connector:
    """Return the connector for a widget and a parameter's type.

    Raises
    ------
    RuntimeError
        If Slicer has no connector for them either.
    """
    exact = type(widget)
    if exact is mrml_widgets.qMRMLNodeComboBox and kind.__name__.startswith("vtkMRML"):
        return _ByNode(widget, kind.__name__)
    if exact is ctk_widgets.ctkPathLineEdit and issubclass(kind, Path):
        return _ByProperty(widget, "currentPathChanged", "currentPath", kind)
    if exact is QtWidgets.QCheckBox and kind is bool:
        return _ByProperty(widget, "toggled", "checked", bool)
    if exact is QtWidgets.QLineEdit and kind is str:
        return _ByProperty(widget, "textChanged", "text", str)
    if exact is QtWidgets.QSpinBox and kind is int:
        return _ByProperty(widget, "valueChanged", "value", int)
    if exact in (QtWidgets.QDoubleSpinBox, ctk_widgets.ctkSliderWidget) and kind in (float, int):
        return _number(widget, kind, annotations)
    if exact is QtWidgets.QComboBox and issubclass(kind, enum.Enum):
        label = getattr(kind, "label", lambda member: member.name)
        return _ByEntry(widget, list(kind), [label(member) for member in kind])
    if exact is QtWidgets.QComboBox and kind in (int, float, str, bool):
        choices = _choices(annotations)
        return _ByEntry(widget, choices, [str(choice) for choice in choices])
    raise RuntimeError(f"Slicer cannot connect a {exact.__name__} to a {kind.__name__}.")


def _number(widget: Any, kind: type, annotations: tuple[Any, ...]) -> _Connector:
    bounds = [note for note in annotations if hasattr(note, "minimum") and hasattr(note, "maximum")]
    if not bounds and type(widget) is ctk_widgets.ctkSliderWidget:
        raise RuntimeError("Slicer cannot connect a ctkSliderWidget to a number without a range.")
    for note in bounds:
        widget.minimum, widget.maximum = note.minimum, note.maximum
    return _ByProperty(widget, "valueChanged", "value", kind)


def _choices(annotations: tuple[Any, ...]) -> list[Any]:
    for note in annotations:
        if hasattr(note, "choices"):
            return list(note.choices)
    raise RuntimeError("Slicer connects a combo box only to a parameter with a Choice.")
