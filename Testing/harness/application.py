"""Stands in for the part of Slicer's application that a scripted module uses. MRML is the real one.

The PyPI wheel `slicer-core` holds Slicer's MRML nodes, logics and displayable managers and its
`slicer/util.py`, but no Qt application. `start` creates the scene and its logics and sets the stand-ins
`slicer.app`, `slicer.modules` and `slicer.mrmlScene`.
"""

import atexit
import shutil
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import slicer
import slicer.util  # the real file of Slicer, shipped in the wheel
import vtk

from harness import subject_hierarchy
from harness.dicom_database import DicomDatabase
from harness.files import FileManager

VERSION = (5, 12)
SLICE_VIEWS = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}


class ModuleEntry:
    """The value of `slicer.modules.<name>`."""

    def __init__(self, name: str, logic: Any = None, path: str = "") -> None:
        self.name = name
        self.path = path
        self._logic = logic

    def logic(self) -> Any:
        return self._logic


class Application:
    """Scene, application logic and module logics; stands in for `slicer.app`."""

    applicationName = "Slicer"
    majorVersion, minorVersion = VERSION

    def __init__(self, folder: Path) -> None:
        self.temporaryPath = str(folder)
        self.connected: list[tuple[str, Any]] = []
        self.scene = slicer.vtkMRMLScene()
        self.scene.SetRootDirectory(self.temporaryPath)
        self.sliceLogics = vtk.vtkCollection()
        self.viewLogics = vtk.vtkCollection()
        self._applicationLogic = self._makeApplicationLogic()
        self._addSingletons()
        self._addRemoteIO(folder / "cache")
        slicer.mrmlScene = self.scene
        slicer.app = self
        slicer.dicomDatabase = DicomDatabase()
        slicer.modules = types.SimpleNamespace()
        self._addModules()
        subject_hierarchy.follow(self.scene)
        self._files = FileManager(self.scene, slicer.modules.volumes.logic())

    def connect(self, signal: str, slot: Any) -> None:
        """Record a connection; the harness never emits a signal."""
        self.connected.append((signal, slot))

    def applicationLogic(self) -> Any:
        return self._applicationLogic

    def coreIOManager(self) -> FileManager:
        return self._files

    def layoutManager(self) -> "Application":
        return self

    def mrmlSliceLogics(self) -> Any:
        return self.sliceLogics

    def sliceViewNames(self) -> list[str]:
        logics = (
            self.sliceLogics.GetItemAsObject(i) for i in range(self.sliceLogics.GetNumberOfItems())
        )
        return [logic.GetSliceNode().GetName() for logic in logics]

    def testingEnabled(self) -> bool:
        return True

    def topLevelWidgets(self) -> list[Any]:
        return []

    def processEvents(self) -> None:
        """Process Qt's events, if Qt was started; pictures are drawn without Qt."""
        widgets = sys.modules.get("PySide6.QtWidgets")
        if widgets is not None and widgets.QApplication.instance() is not None:
            widgets.QApplication.processEvents()

    def _makeApplicationLogic(self) -> Any:
        logic = slicer.vtkSlicerApplicationLogic()
        logic.SetTemporaryPath(self.temporaryPath)
        logic.SetHomeDirectory(self.temporaryPath)
        logic.SetMRMLScene(self.scene)
        logic.GetColorLogic().SetMRMLScene(self.scene)
        logic.GetColorLogic().AddDefaultColorNodes()
        logic.SetSliceLogics(self.sliceLogics)
        logic.SetViewLogics(self.viewLogics)
        for factory in (
            slicer.vtkMRMLThreeDViewDisplayableManagerFactory,
            slicer.vtkMRMLSliceViewDisplayableManagerFactory,
        ):
            factory.GetInstance().SetMRMLApplicationLogic(logic)
        return logic

    def _addSingletons(self) -> None:
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetCrosshairName("default")
        self.scene.AddNode(crosshair)
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)

    def _addRemoteIO(self, cache: Path) -> None:
        """Set the cache into which MRML unpacks an .mrb file."""
        cache.mkdir(parents=True, exist_ok=True)
        self._remoteIO = slicer.vtkMRMLRemoteIOLogic()
        self._remoteIO.GetCacheManager().SetRemoteCacheDirectory(str(cache))
        self._remoteIO.SetMRMLScene(self.scene)
        self._remoteIO.AddDataIOToScene()

    def _addModules(self) -> None:
        # vtkSlicerColorLogic, not vtkMRMLColorLogic: only it registers the colour legend's nodes.
        for name, logic in {
            "Colors": slicer.vtkSlicerColorLogic(),
            "Volumes": slicer.vtkSlicerVolumesLogic(),
            "Terminologies": slicer.vtkSlicerTerminologiesModuleLogic(),
            "Segmentations": slicer.vtkSlicerSegmentationsModuleLogic(),
            "Markups": slicer.vtkSlicerMarkupsLogic(),
            "Tables": slicer.vtkSlicerTablesLogic(),
            "Sequences": slicer.vtkSlicerSequencesLogic(),
            "SubjectHierarchy": slicer.vtkSlicerSubjectHierarchyModuleLogic(),
        }.items():
            logic.SetMRMLApplicationLogic(self._applicationLogic)
            logic.SetMRMLScene(self.scene)
            self._applicationLogic.SetModuleLogic(name, logic)
            setattr(slicer.modules, name.lower(), ModuleEntry(name, logic))


def start(folder: Path | None = None) -> Application:
    """Start the one application of this process; later calls return it."""
    running = getattr(slicer, "app", None)
    if isinstance(running, Application):
        return running
    # VTK would report that the wheel lacks Slicer's terminology files, which nothing here needs.
    vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_OFF)
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="slicer-harness-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Application(folder)
