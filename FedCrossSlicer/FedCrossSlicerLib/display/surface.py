"""The segmentation's surface in the 3D view, coloured by an uncertainty map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from FedCrossSlicerLib.display.heatmap import colorTable, displayMax, showLegend
from FedCrossSlicerLib.scene.hierarchy import putBeside
from FedCrossSlicerLib.scene.nodes import ResultNodes, uniqueName
from FedCrossSlicerLib.scene.roles import MEASURE, PREFIX, SURFACE

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from slicer import (
        vtkMRMLColorNode,
        vtkMRMLModelNode,
        vtkMRMLScalarVolumeNode,
        vtkMRMLSegmentationNode,
        vtkSegmentation,
    )

ARRAY = "Uncertainty"
"""Name of the array of point values."""
_SEGMENTS = PREFIX + "Segments"
"""Attribute of the model: the IDs of the segments that it was made from."""


def showSurface(
    nodes: ResultNodes, measure: str, colors: vtkMRMLColorNode | None, legend: bool
) -> None:
    """Display the coloured surface in place of the segmentation's own surface.

    The model is created at the first call and updated when segments or measure have changed.

    Parameters
    ----------
    nodes
        The result.
    measure
        The measure; nothing happens if the result has no map of it.
    colors
        The colours; None for `colorTable`.
    legend
        Whether the 3D views show the legend.
    """
    source = nodes.maps.get(measure)
    if source is None:
        return
    model = nodes.surface or _newModel(nodes)
    # The user may have moved the result by a transform since the model was created.
    model.SetAndObserveTransformNodeID(nodes.segmentation.GetTransformNodeID())
    if _isOutdated(model, nodes.segmentation):
        _updateSurface(model, nodes.segmentation)
    if model.GetAttribute(MEASURE) != measure:
        _setPointValues(model.GetPolyData(), source)
        model.SetAttribute(MEASURE, measure)
    display = model.GetDisplayNode()
    wasModifying = display.StartModify()
    display.SetActiveScalar(ARRAY, vtk.vtkAssignAttribute.POINT_DATA)
    display.SetScalarRangeFlag(slicer.vtkMRMLDisplayNode.UseManualScalarRange)
    display.SetScalarRange(0.0, displayMax(nodes.windowMax(measure)))
    display.SetAndObserveColorNodeID((colors or colorTable()).GetID())
    display.SetScalarVisibility(True)
    display.SetVisibility(True)
    display.EndModify(wasModifying)
    nodes.segmentation.GetDisplayNode().SetVisibility3D(False)
    _showLegendIn3D(model, measure, legend)


def hideSurface(nodes: ResultNodes) -> None:
    """Display the segmentation's own surface again."""
    model = nodes.surface
    if model is None or not model.GetDisplayNode().GetVisibility():
        return
    model.GetDisplayNode().SetVisibility(False)
    nodes.segmentation.GetDisplayNode().SetVisibility3D(True)


def _newModel(nodes: ResultNodes) -> vtkMRMLModelNode:
    name = uniqueName(_("{segmentation} surface").format(segmentation=nodes.name))
    model = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", name)
    model.CreateDefaultDisplayNodes()
    nodes.attach(SURFACE, model)
    model.SetAttribute(MEASURE, None)
    putBeside(model, nodes.segmentation)
    return model


def _isOutdated(model: vtkMRMLModelNode, segmentation: vtkMRMLSegmentationNode) -> bool:
    """Whether a segment was added, removed or changed since the model was made."""
    surface, segments = model.GetPolyData(), segmentation.GetSegmentation()
    if surface is None or model.GetAttribute(_SEGMENTS) != _segmentIDs(segments):
        return True
    name = segments.GetSourceRepresentationName()
    sources = [
        segments.GetSegment(each).GetRepresentation(name) for each in segments.GetSegmentIDs()
    ]
    return any(source.GetMTime() > surface.GetMTime() for source in sources if source is not None)


def _updateSurface(model: vtkMRMLModelNode, segmentation: vtkMRMLSegmentationNode) -> None:
    """Replace the model's surface by the surfaces of all segments, without point values."""
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
        surface.SetPoints(vtk.vtkPoints())  # an empty surface
    model.SetAndObservePolyData(surface)
    model.SetAttribute(_SEGMENTS, _segmentIDs(segmentation.GetSegmentation()))
    model.SetAttribute(MEASURE, None)


def _segmentIDs(segments: vtkSegmentation) -> str:
    return " ".join(segments.GetSegmentIDs())


def _showLegendIn3D(model: vtkMRMLModelNode, measure: str, visible: bool) -> None:
    """Show the legend in the 3D views only; in the slice views the heat map has a legend."""
    views = [node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLViewNode")]
    legend = showLegend(model, measure, visible and bool(views))
    if list(legend.GetViewNodeIDs()) != views:
        legend.SetViewNodeIDs(views)


def _setPointValues(surface: vtk.vtkPolyData, volume: vtkMRMLScalarVolumeNode) -> None:
    """Give each point the map's value there; points outside the map get the value at its border."""
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


def _interpolate(values: NDArray[np.float32], indices: NDArray[np.float64]) -> NDArray[np.float32]:
    """Interpolate trilinearly.

    Parameters
    ----------
    values
        Array (z, y, x).
    indices
        Continuous indices (n, 3) of (x, y, z); clipped to the array.

    Returns
    -------
    numpy.ndarray
        Values (n,).
    """
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
