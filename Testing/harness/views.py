"""Slicer's slice and 3D views, drawn offscreen by its own displayable managers, as PNG files."""

from pathlib import Path
from typing import Any

import slicer
import vtk

from harness.application import SLICE_VIEWS, Application

_IN_SLICES = (
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
)
_IN_3D = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLThreeDReformatDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
)


class _View:
    """A render window with the displayable managers of one kind of view."""

    def __init__(
        self, app: Application, size: tuple[int, int], factory: Any, managers: tuple[str, ...]
    ) -> None:
        self.renderer = vtk.vtkRenderer()
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetSize(*size)
        self.window.AddRenderer(self.renderer)
        # Some managers need an interactor.
        self._interactor = vtk.vtkRenderWindowInteractor()
        self._interactor.SetRenderWindow(self.window)
        instance = factory.GetInstance()
        instance.SetMRMLApplicationLogic(app.applicationLogic())
        for manager in managers:
            if not instance.IsDisplayableManagerRegistered(manager):
                instance.RegisterDisplayableManager(manager)
        self.managers = slicer.vtkMRMLDisplayableManagerGroup()
        self.managers.Initialize(instance, self.renderer)

    def save(self, path: Path) -> None:
        """Draw and write a PNG."""
        self.window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.ReadFrontBufferOff()
        grab.SetInputBufferTypeToRGB()
        writer = vtk.vtkPNGWriter()
        writer.SetFileName(str(path))
        writer.SetInputConnection(grab.GetOutputPort())
        writer.Write()


class SliceView(_View):
    """One slice view, named and oriented as in Slicer's default layout."""

    def __init__(self, app: Application, name: str, size: tuple[int, int] = (800, 800)) -> None:
        super().__init__(app, size, slicer.vtkMRMLSliceViewDisplayableManagerFactory, _IN_SLICES)
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        self.renderer.SetBackground(0, 0, 0)
        self._addOverlay()
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._actor = vtk.vtkActor2D()
        self._actor.SetMapper(self._mapper)
        self._actor.GetProperty().SetDisplayLocationToBackground()
        self._actor.SetVisibility(False)  # until there is an image
        self.renderer.AddViewProp(self._actor)  # first, so that everything else is drawn over it
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(app.applicationLogic())
        app.sliceLogics.AddItem(self.logic)
        self.logic.SetMRMLScene(slicer.mrmlScene)
        self.node = self.logic.AddSliceNode(name) if not _sliceNode(name) else self._adopt(name)
        self.managers.SetMRMLDisplayableNode(self.node)
        self.node.SetOrientation(SLICE_VIEWS[name])
        self.logic.ResizeSliceNode(*size)

    def _adopt(self, name: str) -> Any:
        """Use the slice node of a scene that was read before the view was created."""
        node = _sliceNode(name)
        self.logic.SetSliceNode(node)
        return node

    def fit(self) -> None:
        """Show all of the background volume."""
        self.logic.FitSliceToBackground(*self.window.GetSize())

    def makeRoomAtTheRight(self, fraction: float) -> None:
        """Shrink the content and move it left, so that this share of the width stays free."""
        x, y, z = self.node.GetFieldOfView()
        grown = 1 / (1 - fraction)
        self.node.SetFieldOfView(x * grown, y * grown, z)
        originX, originY, originZ = self.node.GetXYZOrigin()
        self.node.SetXYZOrigin(originX + x * (grown - 1) / 2, originY, originZ)

    def save(self, path: Path) -> None:
        connection = self.logic.GetImageDataConnection()
        self._mapper.SetInputConnection(connection)
        self._actor.SetVisibility(connection is not None)
        # After a scene was read, the displayable managers do not know the position of the slice.
        self.node.Modified()
        _refreshLegends()
        super().save(path)

    def _addOverlay(self) -> None:
        overlay = vtk.vtkRenderer()
        overlay.SetLayer(1)
        overlay.GetActiveCamera().ParallelProjectionOn()
        self.window.SetNumberOfLayers(2)
        self.window.AddRenderer(overlay)


class ThreeDView(_View):
    """The 3D view."""

    def __init__(
        self, app: Application, name: str = "1", size: tuple[int, int] = (800, 800)
    ) -> None:
        super().__init__(app, size, slicer.vtkMRMLThreeDViewDisplayableManagerFactory, _IN_3D)
        self.logic = slicer.vtkMRMLViewLogic()
        self.logic.SetMRMLApplicationLogic(app.applicationLogic())
        app.viewLogics.AddItem(self.logic)
        self.logic.SetMRMLScene(slicer.mrmlScene)
        self.node = self.logic.AddViewNode(name)
        self.managers.SetMRMLDisplayableNode(self.node)

    def lookFrom(self, azimuth: float, elevation: float, zoom: float) -> None:
        """Rotate the camera about the content by these angles in degrees, and zoom."""
        self.window.Render()
        self.renderer.ResetCamera()
        camera = self.renderer.GetActiveCamera()
        camera.Azimuth(azimuth)
        camera.Elevation(elevation)
        camera.Zoom(zoom)
        self.renderer.ResetCameraClippingRange()


def _sliceNode(name: str) -> Any:
    return slicer.mrmlScene.GetSingletonNode(name, "vtkMRMLSliceNode")


def _refreshLegends() -> None:
    """Notify the legends' displayable manager, which here does not observe the slice layers."""
    scene = slicer.mrmlScene
    kind = "vtkMRMLColorLegendDisplayNode"
    for index in range(scene.GetNumberOfNodesByClass(kind)):
        scene.GetNthNodeByClass(index, kind).Modified()
