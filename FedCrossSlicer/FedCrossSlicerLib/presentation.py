"""A finished result in the scene: segmentation, heat map with its colours, and legend.

Only MRML here, no Qt: the module, its tests and the demo's pictures all go through this.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from FedCrossSlicerLib.colors import heatColors
from FedCrossSlicerLib.errors import InferenceError
from FedCrossSlicerLib.nrrd import requireWhole
from FedCrossSlicerLib.result import Result, readResult

COLOR_NODE = "FedCross uncertainty"
ATTRIBUTE = "FedCross."
DEFAULT_OPACITY = 0.65
THRESHOLD_FRACTION = 0.1  # of the window: below, the image shows through
OUTLINE_PIXELS = 3
# Low in the right corner and slim: the anatomy is in the middle, Slicer's own notes are on the left.
LEGEND_SIZE = (0.07, 0.26)
LEGEND_POSITION = (0.98, 0.03)
LEGEND_FONT = 10


@dataclass(frozen=True)
class Presented:
    """The nodes of one result."""

    segmentation: Any
    uncertainty: Any
    legend: Any
    result: Result


def present(folder: Path, volume: Any) -> Presented:
    """Load a result folder and show it over the volume it was made from.

    Parameters
    ----------
    folder
        With ``segmentation.seg.nrrd``, ``uncertainty.nrrd`` and ``summary.json``, in world space.
    volume
        The input volume node. Under a parent transform it is seen elsewhere than it is stored; the
        result lies where it is seen, and under no transform itself.

    Returns
    -------
    Presented
        The nodes, in the scene and visible.

    Raises
    ------
    InferenceError
        If a part of the result is missing or unreadable; the scene is then as it was.
    """
    result = readResult(folder.resolve())  # MRML takes relative paths as relative to the scene
    for file in (result.segmentation, result.uncertainty):
        requireWhole(file)
    with _allOrNothing():
        try:
            segmentation = slicer.util.loadSegmentation(str(result.segmentation), {})
            uncertainty = slicer.util.loadVolume(str(result.uncertainty), {"show": False})
        except RuntimeError as error:  # as slicer.util reports an unreadable file
            raise InferenceError("The result cannot be read; is the disk full?") from error
        _showSegmentation(segmentation, volume)
        _showHeat(uncertainty, volume, result)
        legend = _showLegend(uncertainty, result.measure)
        for node in (segmentation, uncertainty):
            _forgetFile(node)
            _noteProvenance(node, result)
    slicer.util.setSliceViewerLayers(
        background=volume, foreground=uncertainty, foregroundOpacity=DEFAULT_OPACITY
    )
    return Presented(segmentation, uncertainty, legend, result)


def colorTable() -> Any:
    """Return the scene's table of the heat map's colours; made on first use."""
    existing = slicer.mrmlScene.GetFirstNodeByName(COLOR_NODE)
    if existing is not None and existing.IsA("vtkMRMLColorTableNode"):
        return existing
    colors = heatColors()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", COLOR_NODE)
    node.SetTypeToUser()
    node.SetNumberOfColors(len(colors))
    for index, (red, green, blue) in enumerate(colors):
        node.SetColor(index, f"{index / (len(colors) - 1):.3f}", red, green, blue, 1.0)
    node.NamesInitialisedOn()
    return node


def legendTitle(measure: str) -> str:
    """Return the heat map's name, above its legend."""
    return {
        "std": _("Disagreement\n(std. dev.)"),
        "entropy": _("Uncertainty\n(entropy, nats)"),
        "mutual_information": _("Disagreement\n(mutual inf., nats)"),
        "variation_ratio": _("Dissent\n(share of members)"),
    }.get(measure, measure)


@contextmanager
def _allOrNothing() -> Iterator[None]:
    """Take every node that came into the scene out again when something fails inside."""
    scene = slicer.mrmlScene
    before = {node.GetID() for node in _allNodes()}
    try:
        yield
    except BaseException:
        # Display and storage nodes stay when their node is removed, so each is named.
        for node in _allNodes():
            if node.GetID() not in before and not node.GetSingletonTag():
                scene.RemoveNode(node)
        raise


def _allNodes() -> list[Any]:
    nodes = slicer.mrmlScene.GetNodes()
    return [nodes.GetItemAsObject(index) for index in range(nodes.GetNumberOfItems())]


def _showSegmentation(segmentation: Any, volume: Any) -> None:
    name = _("{volume} segmentation").format(volume=volume.GetName())
    segmentation.SetName(slicer.mrmlScene.GenerateUniqueName(name))
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segmentation.CreateClosedSurfaceRepresentation()
    display = segmentation.GetDisplayNode()
    display.SetVisibility2DFill(False)
    display.SetVisibility2DOutline(True)
    display.SetSliceIntersectionThickness(OUTLINE_PIXELS)
    display.SetVisibility3D(True)


def _showHeat(uncertainty: Any, volume: Any, result: Result) -> None:
    name = _("{volume} uncertainty").format(volume=volume.GetName())
    uncertainty.SetName(slicer.mrmlScene.GenerateUniqueName(name))
    display = uncertainty.GetDisplayNode()
    display.SetAndObserveColorNodeID(colorTable().GetID())
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(0.0, result.windowMax)
    display.AutoThresholdOff()
    display.SetThreshold(THRESHOLD_FRACTION * result.windowMax, max(result.windowMax, result.peak))
    display.ApplyThresholdOn()
    display.InterpolateOn()


def _showLegend(uncertainty: Any, measure: str) -> Any:
    legend = slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(uncertainty)
    legend.SetTitleText(legendTitle(measure))
    legend.SetLabelFormat("%.2f")
    legend.SetNumberOfLabels(3)
    for style in (legend.GetTitleTextProperty(), legend.GetLabelTextProperty()):
        style.SetFontSize(LEGEND_FONT)
    legend.SetSize(*LEGEND_SIZE)
    legend.SetPosition(*LEGEND_POSITION)
    legend.SetVisibility(True)
    return legend


def _forgetFile(node: Any) -> None:
    """Cut the tie to the temporary file: saving the scene must write the data anew."""
    storage = node.GetStorageNode()
    if storage is not None:
        node.SetAndObserveStorageNodeID(None)
        slicer.mrmlScene.RemoveNode(storage)


def _noteProvenance(node: Any, result: Result) -> None:
    """Note where a node comes from: neither paths nor people."""
    for name, value in {
        "Bundle": result.bundleName,
        "BundleSHA256": result.bundleHash,
        "Members": str(result.members),
        "Measure": result.measure,
        "Date": result.created,
        "Version": result.packages.get("fedcross", ""),
        "Packages": json.dumps(result.packages, sort_keys=True),
    }.items():
        node.SetAttribute(ATTRIBUTE + name, value)
