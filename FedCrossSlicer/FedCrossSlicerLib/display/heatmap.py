"""The map over the volume: which measure, where, in which colours, and its legend."""

from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from FedCrossSlicerLib.display.colors import heatColors
from FedCrossSlicerLib.scene.nodes import PREFIX, ResultNodes

COLOR_NODE = "FedCross uncertainty"
EVERYWHERE, NEAR, INSIDE = "everywhere", "near", "inside"
FARTHEST_MM = 255  # the distance map's "as far or farther, or nothing found"
# Low in the right corner and slim: the anatomy is in the middle, Slicer's own notes are on the left.
LEGEND_SIZE = (0.07, 0.26)
LEGEND_POSITION = (0.98, 0.03)
LEGEND_FONT = 10
SHOWN = PREFIX + "Shown"


def fillHeat(nodes: ResultNodes, measure: str, region: str, marginMm: float) -> None:
    """Write a measure's map into the heat node: all of it, or what is near or inside a structure.

    Elsewhere it becomes 0. Nothing happens when that is what the node holds. Without a distance map
    the whole map is shown.

    Parameters
    ----------
    marginMm
        What "near" means, in whole mm from the nearest structure's voxels.
    """
    heat, source, distance = nodes.heat, nodes.maps.get(measure), nodes.distance
    if heat is None or source is None:
        return
    if distance is None:
        region = EVERYWHERE
    wanted = f"{measure} {region}" + (f" {int(marginMm)}" if region == NEAR else "")
    if heat.GetAttribute(SHOWN) == wanted:
        return
    target, values = slicer.util.arrayFromVolume(heat), slicer.util.arrayFromVolume(source)
    if region == EVERYWHERE:
        target[:] = values
    else:
        farthest = 0 if region == INSIDE else min(int(marginMm), FARTHEST_MM - 1)
        np.multiply(values, slicer.util.arrayFromVolume(distance) <= farthest, out=target)
    wasModifying = heat.StartModify()  # the views draw once
    heat.SetAttribute(SHOWN, wanted)
    heat.SetAttribute(PREFIX + "Measure", measure)
    slicer.util.arrayFromVolumeModified(heat)
    heat.EndModify(wasModifying)


def styleMap(volume: Any, windowMax: float, threshold: float, colors: Any = None) -> None:
    """Give a map its colours over 0 to `windowMax`; below `threshold`, a share of that, it is clear.

    Where the members agree wholly (0) it is clear even without a threshold.
    """
    largest = shownMax(windowMax)
    display = volume.GetDisplayNode()
    wasModifying = display.StartModify()
    display.SetAndObserveColorNodeID((colors or colorTable()).GetID())
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(0.0, largest)
    display.AutoThresholdOff()
    display.SetThreshold(float(f"{max(threshold, 1e-6) * largest:.6g}"), 2.0 * largest)
    display.ApplyThresholdOn()
    display.InterpolateOn()
    display.EndModify(wasModifying)


def shownMax(windowMax: float) -> float:
    """Return the value that gets the last colour.

    A scene's file keeps six digits, of the window and of the level, which is half of it.
    """
    return float(f"{windowMax:.5g}")


def colorTable() -> Any:
    """Return the scene's table of the heat map's colours; made on first use."""
    node = slicer.mrmlScene.GetFirstNodeByName(COLOR_NODE)
    if node is None or not node.IsA("vtkMRMLColorTableNode"):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", COLOR_NODE)
        # Hidden, as tables are, it would not be saved beside a .mrml file.
        node.SetHideFromEditors(False)
    elif any(node.GetLookupTable().GetTableValue(node.GetNumberOfColors() - 1)[:3]):
        return node
    # New, or black: of a table whose own file is gone a scene keeps only how many colours it had.
    colors = heatColors()
    node.SetTypeToUser()
    node.SetNumberOfColors(len(colors))
    for index, (red, green, blue) in enumerate(colors):
        node.SetColor(index, f"{index / (len(colors) - 1):.3f}", red, green, blue, 1.0)
    return node


def legendTitle(measure: str) -> str:
    """Return a measure's name, above the legend."""
    return {
        "std": _("Disagreement\n(std. dev.)"),
        "entropy": _("Uncertainty\n(entropy, nats)"),
        "mutual_information": _("Disagreement\n(mutual inf., nats)"),
        "variation_ratio": _("Dissent\n(share of members)"),
    }.get(measure, measure)


def showLegend(displayable: Any, measure: str, visible: bool) -> Any:
    """Show or hide the legend of a map or a coloured surface; made on first use.

    Returns
    -------
    vtkMRMLColorLegendDisplayNode
    """
    logic = slicer.modules.colors.logic()
    legend = logic.GetColorLegendDisplayNode(displayable)
    if legend is None:
        legend = logic.AddDefaultColorLegendDisplayNode(displayable)
        legend.SetLabelFormat("%.2f")
        legend.SetNumberOfLabels(3)
        for style in (legend.GetTitleTextProperty(), legend.GetLabelTextProperty()):
            style.SetFontSize(LEGEND_FONT)
        legend.SetSize(*LEGEND_SIZE)
        legend.SetPosition(*LEGEND_POSITION)
    legend.SetTitleText(legendTitle(measure))
    legend.SetVisibility(visible)
    return legend
