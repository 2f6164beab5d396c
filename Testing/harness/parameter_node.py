"""Stands in for `slicer.parameterNodeWrapper`: typed parameters on a vtkMRMLScriptedModuleNode.

Values are stored in the node as Slicer stores them, so Slicer and the harness can open each other's
scenes: text for simple types, a member's name for an enumeration, a node reference for a node.
"""

import enum
import types
import typing
from dataclasses import dataclass
from typing import Any

import slicer
import slicer.util
import vtk

from harness import gui_connectors

PROPERTY = "SlicerParameterName"


@dataclass(frozen=True)
class Default:
    """Annotation: the value when none was set."""

    value: Any


@dataclass(frozen=True)
class Choice:
    """Annotation: the allowed values."""

    choices: list[Any]

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"Value is {value}, but must be one of {self.choices}")


@dataclass(frozen=True)
class WithinRange:
    """Annotation: both bounds, included."""

    minimum: float
    maximum: float

    def validate(self, value: Any) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value is {value}, not in {self.minimum} .. {self.maximum}")


@dataclass(frozen=True)
class Decimals:
    """Annotation: shown decimals."""

    value: int


@dataclass(frozen=True)
class SingleStep:
    """Annotation: step of spin boxes and sliders."""

    value: float


class _Parameter:
    """One parameter of a class: its type, its default, and how it is stored."""

    def __init__(self, name: str, annotated: Any, owner: type) -> None:
        self.name = name
        self.annotations: tuple[Any, ...] = ()
        self.kind = annotated
        if typing.get_origin(annotated) is typing.Annotated:
            self.kind, *annotations = typing.get_args(annotated)
            self.annotations = tuple(annotations)
        if not isinstance(self.kind, type):
            raise TypeError(f"The harness cannot keep a {self.kind} ({owner.__name__}.{name}).")
        self.default = self._findDefault(owner)
        self.validate(self.default)

    def _findDefault(self, owner: type) -> Any:
        if self.name in vars(owner):
            return vars(owner)[self.name]
        for annotation in self.annotations:
            if isinstance(annotation, Default):
                return annotation.value
        if self._isNode():
            return None
        return next(iter(self.kind)) if issubclass(self.kind, enum.Enum) else self.kind()

    def _isNode(self) -> bool:
        return issubclass(self.kind, slicer.vtkMRMLNode)

    def validate(self, value: Any) -> None:
        allowed = (int, float) if self.kind is float else (self.kind,)
        if not (isinstance(value, allowed) or (value is None and self._isNode())):
            raise TypeError(f"{self.name} must be of type {self.kind.__name__}, got {value!r}")
        for annotation in self.annotations:
            if hasattr(annotation, "validate"):
                annotation.validate(value)

    def write(self, node: Any, value: Any) -> None:
        self.validate(value)
        with slicer.util.NodeModify(node):
            if self._isNode():
                node.SetParameter(self.name, "")
                node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
            elif isinstance(value, enum.Enum):
                node.SetParameter(self.name, value.name)
            else:
                node.SetParameter(self.name, str(value))

    def read(self, node: Any) -> Any:
        if self._isNode():
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        if issubclass(self.kind, enum.Enum):
            return self.kind[text]
        return text == "True" if self.kind is bool else self.kind(text)

    def isIn(self, node: Any) -> bool:
        return bool(node.HasParameter(self.name))


class _Wrapper:
    """The decorated class: its attributes are stored in a parameter node."""

    _parameters: typing.ClassVar[dict[str, _Parameter]] = {}

    def __init__(self, parameterNode: Any) -> None:
        self.parameterNode = parameterNode
        self._connectors: dict[int, dict[str, Any]] = {}
        self._observers: dict[int, int] = {}
        self._updating = False
        for parameter in self._parameters.values():
            if not parameter.isIn(parameterNode):
                parameter.write(parameterNode, parameter.default)

    def getValue(self, name: str) -> Any:
        return self._parameters[name].read(self.parameterNode)

    def setValue(self, name: str, value: Any) -> None:
        self._parameters[name].write(self.parameterNode, value)

    def connectGui(self, gui: Any) -> None:
        """Connect widgets to the parameters that their property `SlicerParameterName` names.

        As in Slicer nothing is returned, so the widgets cannot be disconnected.
        """
        named = {widget.property(PROPERTY): widget for widget in vars(gui).values()}
        self.connectParametersToGui({name: widget for name, widget in named.items() if name})

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:
        """Connect widgets to parameters by name; return the tag for `disconnectGui`."""
        tag = max(self._connectors, default=-1) + 1
        connectors = {}
        for name, widget in mapping.items():
            parameter = self._parameters[name]
            connectors[name] = gui_connectors.create(widget, parameter.kind, parameter.annotations)
        self._connectors[tag] = connectors
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.connect(lambda name=name, source=connector: self._onWidget(name, source))
        self._observers[tag] = self.parameterNode.AddObserver(
            vtk.vtkCommand.ModifiedEvent, lambda *_: self._updateWidgets()
        )
        return tag

    def disconnectGui(self, tag: int) -> None:
        for connector in self._connectors.pop(tag, {}).values():
            connector.disconnect()
        if tag in self._observers:
            self.parameterNode.RemoveObserver(self._observers.pop(tag))

    def _onWidget(self, name: str, connector: Any) -> None:
        if not self._updating:
            self.setValue(name, connector.read())

    def _updateWidgets(self) -> None:
        if self._updating:
            return
        self._updating = True
        try:
            for connectors in self._connectors.values():
                for name, connector in connectors.items():
                    connector.write(self.getValue(name))
        finally:
            self._updating = False

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def StartModify(self) -> int:
        return self.parameterNode.StartModify()

    def EndModify(self, wasModified: int) -> int:
        return self.parameterNode.EndModify(wasModified)


def parameterNodeWrapper(described: type) -> type:
    """Class decorator: store the annotated attributes as typed parameters of a node."""
    hints = typing.get_type_hints(described, include_extras=True)
    parameters = {name: _Parameter(name, kind, described) for name, kind in hints.items()}
    members = {name: _attribute(parameter) for name, parameter in parameters.items()}
    kept = {name: value for name, value in vars(described).items() if name not in parameters}
    for generated in ("__dict__", "__weakref__"):
        kept.pop(generated, None)
    return type(described.__name__, (_Wrapper,), {**kept, **members, "_parameters": parameters})


def _attribute(parameter: _Parameter) -> property:
    return property(
        lambda self: parameter.read(self.parameterNode),
        lambda self, value: parameter.write(self.parameterNode, value),
    )


def module() -> types.ModuleType:
    """Return the module to be imported as `slicer.parameterNodeWrapper`."""
    made = types.ModuleType("slicer.parameterNodeWrapper")
    for member in (parameterNodeWrapper, Default, Choice, WithinRange, Decimals, SingleStep):
        setattr(made, member.__name__, member)
    return made
