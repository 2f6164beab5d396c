"""A finished result in the scene: segmentation, heat map with its colours, and legend.

Only MRML here, no Qt: the module, its tests and the demo's pictures all go through this.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer

from FedCrossSlicerLib.colors import heat_colors

COLOR_NODE = "FedCross uncertainty"
ATTRIBUTE = "FedCross."
TITLES = {
    "std": "Disagreement\n(std. dev.)",
    "entropy": "Uncertainty\n(entropy, nats)",
    "mutual_information": "Disagreement\n(mutual inf., nats)",
    "variation_ratio": "Disagreement\n(variation ratio)",
}
DEFAULT_OPACITY = 0.65
THRESHOLD_FRACTION = 0.1  # of the window: below, the image shows through


@dataclass(frozen=True)
class Presented:
    """The nodes of one result."""

    segmentation: Any
    uncertainty: Any
    legend: Any
    summary: dict[str, Any]

    def nodes(self) -> list[Any]:
        """Return every node that goes when the result goes."""
        return [self.segmentation, self.uncertainty]


def present(folder: Path, volume: Any) -> Presented:
    """Load a result folder and show it over the volume it was made from.

    Parameters
    ----------
    folder
        With ``segmentation.seg.nrrd``, ``uncertainty.nrrd`` and ``summary.json``, in world space.
    volume
        The input volume node. Its parent transform may differ from identity: the result already lies
        where the volume is seen.

    Returns
    -------
    Presented
        The nodes, in the scene and visible.
    """
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    added: list[Any] = []
    try:
        segmentation = slicer.util.loadSegmentation(str(folder / "segmentation.seg.nrrd"), {})
        added.append(segmentation)
        uncertainty = slicer.util.loadVolume(str(folder / "uncertainty.nrrd"), {"show": False})
        added.append(uncertainty)
        _show_segmentation(segmentation, volume)
        _show_heat(uncertainty, volume, summary)
        legend = _show_legend(uncertainty, summary["measure"])
    except BaseException:
        for node in added:
            slicer.mrmlScene.RemoveNode(node)
        raise
    for node in added:
        _forget_file(node)
        _note_provenance(node, summary)
    slicer.util.setSliceViewerLayers(
        background=volume, foreground=uncertainty, foregroundOpacity=DEFAULT_OPACITY
    )
    return Presented(segmentation, uncertainty, legend, summary)


def color_table() -> Any:
    """Return the scene's table of the heat map's colours; made on first use."""
    existing = slicer.mrmlScene.GetFirstNodeByName(COLOR_NODE)
    if existing is not None and existing.IsA("vtkMRMLColorTableNode"):
        return existing
    colors = heat_colors()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", COLOR_NODE)
    node.SetTypeToUser()
    node.SetNumberOfColors(len(colors))
    for index, (red, green, blue) in enumerate(colors):
        node.SetColor(index, f"{index / (len(colors) - 1):.3f}", red, green, blue, 1.0)
    node.NamesInitialisedOn()
    return node


def _show_segmentation(segmentation: Any, volume: Any) -> None:
    segmentation.SetName(f"{volume.GetName()} segmentation")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segmentation.CreateClosedSurfaceRepresentation()
    display = segmentation.GetDisplayNode()
    display.SetVisibility2DFill(False)
    display.SetVisibility2DOutline(True)
    display.SetSliceIntersectionThickness(3)
    display.SetVisibility3D(True)


def _show_heat(uncertainty: Any, volume: Any, summary: dict[str, Any]) -> None:
    uncertainty.SetName(f"{volume.GetName()} uncertainty")
    top = float(summary["uncertainty"]["window_max"])
    display = uncertainty.GetDisplayNode()
    display.SetAndObserveColorNodeID(color_table().GetID())
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(0.0, top)
    display.AutoThresholdOff()
    display.ApplyThresholdOn()
    display.SetThreshold(THRESHOLD_FRACTION * top, max(top, float(summary["uncertainty"]["max"])))
    display.InterpolateOn()


def _show_legend(uncertainty: Any, measure: str) -> Any:
    legend = slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(uncertainty)
    legend.SetTitleText(TITLES[measure])
    legend.SetLabelFormat("%.2f")
    legend.SetNumberOfLabels(3)
    legend.GetTitleTextProperty().SetFontSize(11)
    legend.GetLabelTextProperty().SetFontSize(11)
    # Low in the right corner, slim: the anatomy is in the middle.
    legend.SetSize(0.08, 0.28)
    legend.SetPosition(0.98, 0.02)
    legend.SetVisibility(True)
    return legend


def _forget_file(node: Any) -> None:
    """Cut the tie to the temporary file: saving the scene must write the data anew."""
    storage = node.GetStorageNode()
    if storage is not None:
        node.SetAndObserveStorageNodeID(None)
        slicer.mrmlScene.RemoveNode(storage)


def _note_provenance(node: Any, summary: dict[str, Any]) -> None:
    bundle = summary["bundle"]
    for name, value in (
        ("Bundle", bundle["name"]),
        ("BundleSHA256", bundle["sha256"]),
        ("Members", bundle["members"]),
        ("Measure", summary["measure"]),
        ("Date", summary["created"]),
        ("Packages", json.dumps(summary["packages"], sort_keys=True)),
    ):
        node.SetAttribute(ATTRIBUTE + name, str(value))
