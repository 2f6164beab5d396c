"""Stands in for `slicer.ScriptedLoadableModule`: the four base classes of a scripted module."""

import logging
import os
import sys
import types
import unittest
from typing import Any

import slicer
from PySide6 import QtGui, QtWidgets


class ScriptedLoadableModule:
    """The module's entry in Slicer: title, category, help, icon."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__
        icon = self.resourcePath(f"Icons/{self.moduleName}.png")
        if os.path.isfile(icon):
            parent.icon = QtGui.QIcon(icon)

    def resourcePath(self, filename: str) -> str:
        return os.path.join(os.path.dirname(self.parent.path), "Resources", filename)

    def runTest(self, msec: int = 100, **kwargs: Any) -> None:
        test = getattr(sys.modules[self.__module__], f"{self.moduleName}Test")()
        test.messageDelay = msec
        test.runTest(**kwargs)


class ScriptedLoadableModuleWidget:
    """The module's panel, inside a parent widget that Slicer provides."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.parent = parent or _standaloneParent()
        self.layout = self.parent.layout()
        if parent is None:
            self.setup()
            self.parent.show()

    def resourcePath(self, filename: str) -> str:
        modulePath = getattr(slicer.modules, self.moduleName.lower()).path
        return os.path.join(os.path.dirname(modulePath), "Resources", filename)

    def setup(self) -> None:
        """Do nothing; the module extends this."""

    def cleanup(self) -> None:
        """Do nothing; the module extends this."""

    def onReload(self) -> None:
        """Do nothing; Slicer reloads the module's own file."""


def _standaloneParent() -> Any:
    parent = slicer.qMRMLWidget()
    QtWidgets.QVBoxLayout(parent)
    parent.setMRMLScene(slicer.mrmlScene)
    return parent


class ScriptedLoadableModuleLogic:
    """The logic of a module; its parameters are stored in a singleton node."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self) -> Any:
        scene = slicer.mrmlScene
        node = scene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = scene.AddNode(self.createParameterNode())
        node.SetAttribute("ModuleName", self.moduleName)
        return node

    def createParameterNode(self) -> Any:
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        node.SetSingletonTag(self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """Tests that run inside Slicer."""

    def __init__(self, methodName: str = "runTest") -> None:
        super().__init__(methodName)

    def delayDisplay(self, message: str, *_: Any) -> None:
        logging.getLogger(__name__).info(message)

    def runTest(self) -> None:
        """Run every method named `test...`, each after `setUp`."""
        for name in dir(self):
            if name.startswith("test"):
                self.setUp()
                getattr(self, name)()
                self.tearDown()


def module() -> types.ModuleType:
    """Return the module to be imported as `slicer.ScriptedLoadableModule`."""
    made = types.ModuleType("slicer.ScriptedLoadableModule")
    for member in (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    ):
        setattr(made, member.__name__, member)
    return made
