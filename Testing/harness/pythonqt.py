"""PySide6 with the interface of PythonQt, so that a module's Qt code runs unchanged.

Slicer wraps Qt with PythonQt, where a property is an attribute (`button.text = "Apply"`), signals are
connected by their signature (`button.connect("clicked(bool)", f)`) and an object's name is `name`.
`adopt` changes PySide6's classes in the same way, for the whole process.

The module must not use what is missing here: PythonQt's checks of the number of a slot's arguments, its
own enumeration types and its implicit conversions.
"""

import ctypes
import functools
import sys
import types
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

_LIBRARIES = (QtCore, QtGui, QtWidgets)
_native_attribute = QtCore.QObject.__getattribute__


class _Property:
    """A Qt property as an attribute of objects; the class keeps its native member."""

    def __init__(self, name: str, writable: bool, native: Any) -> None:
        self._name = name
        self._writable = writable
        self._native = native

    def __get__(self, owner: Any, kind: type) -> Any:
        if owner is None:
            return self._native
        return QtCore.QObject.property(owner, self._name)

    def __set__(self, owner: Any, value: Any) -> None:
        if not self._writable:
            raise AttributeError(f"{type(owner).__name__}.{self._name} is read-only")
        if not QtCore.QObject.setProperty(owner, self._name, value):
            raise TypeError(f"{type(owner).__name__}.{self._name} cannot take {value!r}")


def adopt() -> types.ModuleType:
    """Give PySide6's classes PythonQt's interface; return the module to be imported as `qt`."""
    _keep_none_alive()
    qt = types.ModuleType("qt")
    for library in _LIBRARIES:
        # dir(), not vars(): PySide6 creates its classes at first access.
        members = {name: getattr(library, name) for name in dir(library) if name[:2] != "__"}
        vars(qt).update(members)
        for member in members.values():
            if isinstance(member, type) and issubclass(member, QtCore.QObject):
                _expose_properties(member)
    _extend_objects()
    for kind in (QtWidgets.QDialog, QtWidgets.QMessageBox, QtWidgets.QMenu):
        kind.exec_ = kind.exec
    return qt


def _keep_none_alive() -> None:
    """Add references to None: PySide6 6.12 releases one with every call that returns nothing.

    From Python 3.12 on None is never freed. In Python 3.11 the process would abort after some ten
    thousand calls.
    """
    if sys.version_info < (3, 12):
        references = ctypes.c_ssize_t.from_address(id(None))
        references.value += 1 << 40


def _expose_properties(kind: type[QtCore.QObject]) -> None:
    """Make the properties that a class declares attributes of its objects."""
    meta = kind.staticMetaObject
    for index in range(meta.propertyOffset(), meta.propertyCount()):
        declared = meta.property(index)
        native = getattr(kind, declared.name(), None)
        if not isinstance(native, _Property):
            setattr(
                kind, declared.name(), _Property(declared.name(), declared.isWritable(), native)
            )


def _extend_objects() -> None:
    base = QtCore.QObject
    base.name = property(
        lambda self: base.property(self, "objectName"),
        lambda self, value: base.setProperty(self, "objectName", value),
    )
    base.className = lambda self: self.metaObject().className()
    # PySide6 does not look up `connect` as an attribute, so setting it would have no effect.
    base.__getattribute__ = _attribute


def _attribute(owner: QtCore.QObject, name: str) -> Any:
    if name == "connect":
        return functools.partial(_connect, owner)
    if name == "disconnect":
        return functools.partial(_disconnect, owner)
    return _native_attribute(owner, name)


def _connect(owner: QtCore.QObject, signature: str, slot: Any) -> bool:
    _signal(owner, signature).connect(slot)
    return True


def _disconnect(owner: QtCore.QObject, signature: str, slot: Any) -> bool:
    _signal(owner, signature).disconnect(slot)
    return True


def _signal(owner: QtCore.QObject, signature: str) -> Any:
    """The signal with this signature; the signals of a stand-in are found by name."""
    name = signature.split("(")[0]
    meta = owner.metaObject()
    normalized = bytes(QtCore.QMetaObject.normalizedSignature(signature)).decode()
    known = meta.indexOfSignal(normalized) >= 0
    declared_in_python = any(name in vars(kind) for kind in _python_classes(type(owner)))
    if not known and not declared_in_python:
        raise ValueError(f"{type(owner).__name__} has no signal {signature}")
    return _native_attribute(owner, name)


def _python_classes(kind: type) -> list[type]:
    return [base for base in kind.__mro__ if not base.__module__.startswith("PySide6")]
