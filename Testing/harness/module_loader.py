"""Loads a scripted module and creates its panel, in the same order as Slicer.

qt = start_qt()
app = application.start()
loaded = load(Path("FedCrossSlicer/FedCrossSlicer.py"))
panel = loaded.widgetRepresentation().self()
"""

import atexit
import importlib.util
import os
import shutil
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

from harness import ctk_widgets, mrml_widgets, parameter_node, pythonqt, scripted_module, services
from harness.application import ModuleEntry
from harness.ui_loader import QUiLoader


def start_qt() -> QtWidgets.QApplication:
    """Start Qt as PythonQt presents it, and make `qt`, `ctk` and Slicer's Qt classes importable."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # there may be no screen
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
    if "qt" in sys.modules:
        return application
    _settings()
    qt = pythonqt.adopt()
    qt.QUiLoader = QUiLoader
    ctk = types.ModuleType("ctk")
    for kind in ctk_widgets.WIDGETS:
        setattr(ctk, kind.__name__, kind)
    for kind in mrml_widgets.WIDGETS:
        setattr(slicer, kind.__name__, kind)
    sys.modules.update(qt=qt, ctk=ctk)
    services.provide()
    services.provideModule("ScriptedLoadableModule", scripted_module.module())
    services.provideModule("parameterNodeWrapper", parameter_node.module())
    return application


def _settings() -> None:
    """Store the application's settings in a temporary folder, not with the user's settings."""
    folder = tempfile.mkdtemp(prefix="slicer-settings-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    QtCore.QCoreApplication.setOrganizationName("NA-MIC")
    QtCore.QCoreApplication.setApplicationName("Slicer")
    ini = QtCore.QSettings.IniFormat
    QtCore.QSettings.setDefaultFormat(ini)
    QtCore.QSettings.setPath(ini, QtCore.QSettings.UserScope, folder)


class ModuleParent:
    """The C++ side of a module, whose attributes the module's constructor sets."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.title = ""
        self.categories: list[str] = []
        self.dependencies: list[str] = []
        self.contributors: list[str] = []
        self.helpText = ""
        self.acknowledgementText = ""
        self.icon: Any = None


class WidgetRepresentation(mrml_widgets.qMRMLWidget):
    """The C++ side of a panel, which the user enters and leaves."""

    def __init__(self) -> None:
        super().__init__()
        QtWidgets.QVBoxLayout(self)
        self.isEntered = False
        self._panel: Any = None

    def self(self) -> Any:
        """Return the Python side."""
        return self._panel

    def setup(self, widgetClass: type) -> None:
        self._panel = widgetClass(self)
        self.setMRMLScene(slicer.mrmlScene)
        self._panel.setup()

    def enter(self) -> None:
        self.isEntered = True
        self._panel.enter()

    def exit(self) -> None:
        self.isEntered = False
        self._panel.exit()


class LoadedModule(ModuleEntry):
    """The value of `slicer.modules.<name>` for a scripted module."""

    def __init__(self, source: types.ModuleType, path: Path) -> None:
        name = path.stem
        super().__init__(name, path=str(path))
        self.parent = ModuleParent(path)
        self._source = source
        self.instance = getattr(source, name)(self.parent)
        self._representation: WidgetRepresentation | None = None

    def widgetRepresentation(self) -> WidgetRepresentation:
        """Return the panel; the first call creates it."""
        if self._representation is None:
            self._representation = WidgetRepresentation()
            self._representation.setup(getattr(self._source, f"{self.name}Widget"))
        return self._representation

    def logicClass(self) -> Any:
        return getattr(self._source, f"{self.name}Logic")

    def testClass(self) -> Any:
        return getattr(self._source, f"{self.name}Test")


def load(path: Path) -> LoadedModule:
    """Add a scripted module's folder to the import path and load its file, as Slicer does."""
    path = path.resolve()
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} is not a Python file")
    source = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = source
    spec.loader.exec_module(source)
    loaded = LoadedModule(source, path)
    setattr(slicer.modules, path.stem.lower(), loaded)
    return loaded
