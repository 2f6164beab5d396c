"""The segmentation's surface in 3D, coloured by uncertainty."""

from typing import Any

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from FedCrossSlicerLib.display.heatmap import colorTable, showLegend, shownMax
from FedCrossSlicerLib.scene.hierarchy import putBeside
from FedCrossSlicerLib.scene.nodes import PREFIX, SURFACE, ResultNodes, freeName

ARRAY = "Uncertainty"
_SHOWN, _SEGMENTS = PREFIX + "Measure", PREFIX + "Segments"


def showSurface(nodes: ResultNodes, measure: str, colors: Any, legend: bool) -> None:
    """Show the coloured surface instead of the segmentation's own; made or remade when it must be."""
    source = nodes.maps.get(measure)
    if source is None:
        return
    model = nodes.surface or _newModel(nodes)
    if _outdated(model, nodes.segmentation):
        _remake(model, nodes.segmentation)
    if model.GetAttribute(_SHOWN) != measure:
        _color(model.GetPolyData(), source)
        model.SetAttribute(_SHOWN, measure)
    display = model.GetDisplayNode()
    wasModifying = display.StartModify()
    display.SetActiveScalar(ARRAY, vtk.vtkAssignAttribute.POINT_DATA)
    display.SetScalarRangeFlag(slicer.vtkMRMLDisplayNode.UseManualScalarRange)
    display.SetScalarRange(0.0, shownMax(nodes.windowMax(measure)))
    display.SetAndObserveColorNodeID((colors or colorTable()).GetID())
    display.SetScalarVisibility(True)
    display.SetVisibility(True)
    display.EndModify(wasModifying)
    nodes.segmentation.GetDisplayNode().SetVisibility3D(False)
    _showLegendIn3D(model, measure, legend)


def hideSurface(nodes: ResultNodes) -> None:
    """Show the segmentation's own surface again."""
    model = nodes.surface
    if model is None or not model.GetDisplayNode().GetVisibility():
        return
    model.GetDisplayNode().SetVisibility(False)
    nodes.segmentation.GetDisplayNode().SetVisibility3D(True)


def _newModel(nodes: ResultNodes) -> Any:
    name = freeName(_("{segmentation} surface").format(segmentation=nodes.name))
    model = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", name)
    model.CreateDefaultDisplayNodes()
    nodes.attach(SURFACE, model)
    model.SetAttribute(_SHOWN, None)
    putBeside(model, nodes.segmentation)
    return model


def _outdated(model: Any, segmentation: Any) -> bool:
    """Whether a segment came, went or changed since the model was made."""
    surface, segments = model.GetPolyData(), segmentation.GetSegmentation()
    if surface is None or model.GetAttribute(_SEGMENTS) != _listed(segments):
        return True
    name = segments.GetSourceRepresentationName()
    sources = [
        segments.GetSegment(each).GetRepresentation(name) for each in segments.GetSegmentIDs()
    ]
    return any(source.GetMTime() > surface.GetMTime() for source in sources if source is not None)


def _remake(model: Any, segmentation: Any) -> None:
    """Make the model of all segments' surfaces; without values as yet."""
    segmentation.CreateClosedSurfaceRepresentation()
    join = vtk.vtkAppendPolyData()
    for segmentID in segmentation.GetSegmentation().GetSegmentIDs():
        surface = vtk.vtkPolyData()
        if segmentation.GetClosedSurfaceRepresentation(segmentID, surface):
            join.AddInputData(surface)
    if join.GetNumberOfInputConnections(0):
        join.Update()
    surface = join.GetOutput()
    if surface.GetPoints() is None:
        surface.SetPoints(vtk.vtkPoints())  # nothing to see, but to go on with
    model.SetAndObservePolyData(surface)
    model.SetAttribute(_SEGMENTS, _listed(segmentation.GetSegmentation()))
    model.SetAttribute(_SHOWN, None)


def _listed(segments: Any) -> str:
    return " ".join(segments.GetSegmentIDs())


def _showLegendIn3D(model: Any, measure: str, visible: bool) -> None:
    """In the slice views the heat map has its own."""
    views = [node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLViewNode")]
    legend = showLegend(model, measure, visible and bool(views))
    if list(legend.GetViewNodeIDs()) != views:
        legend.SetViewNodeIDs(views)


def _color(surface: Any, volume: Any) -> None:
    """Give each point the map's value there; beyond the map's edge that at the edge."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetRASToIJKMatrix(matrix)
    toIndex = slicer.util.arrayFromVTKMatrix(matrix)
    points = vtk_to_numpy(surface.GetPoints().GetData())
    indices = points @ toIndex[:3, :3].T + toIndex[:3, 3]
    values = _interpolate(slicer.util.arrayFromVolume(volume), indices)
    array = numpy_to_vtk(values, deep=True)
    array.SetName(ARRAY)
    surface.GetPointData().AddArray(array)
    surface.GetPointData().SetActiveScalars(ARRAY)
    surface.Modified()


def _interpolate(values: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return trilinear values (n,) of an array (z, y, x) at continuous indices (n, 3) of (x, y, z)."""
    last = np.array(values.shape[::-1]) - 1
    indices = np.clip(indices, 0, last)
    low = np.minimum(indices.astype(np.intp), np.maximum(last - 1, 0))
    share = indices - low
    result = np.zeros(len(indices), np.float32)
    for corner in np.ndindex(2, 2, 2):
        x, y, z = np.minimum(low + corner, last).T
        weight = np.where(corner, share, 1 - share).prod(axis=1)
        result += (weight * values[z, y, x]).astype(np.float32)
    return result
