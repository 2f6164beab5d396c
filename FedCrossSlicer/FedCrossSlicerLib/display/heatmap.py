"""The heat map over the volume: its measure, its region, its colours and its legend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import slicer
from slicer.i18n import tr as _

from fedcross.contract.files import FARTHEST_MM
from fedcross.contract.measures import LEGENDS
from FedCrossSlicerLib.display.colors import heatColors
from FedCrossSlicerLib.scene.nodes import ResultNodes
from FedCrossSlicerLib.scene.roles import MEASURE, PREFIX

if TYPE_CHECKING:
    from slicer import (
        vtkMRMLColorLegendDisplayNode,
        vtkMRMLColorNode,
        vtkMRMLColorTableNode,
        vtkMRMLDisplayableNode,
        vtkMRMLScalarVolumeNode,
    )

COLOR_NODE = "FedCross uncertainty"
EVERYWHERE, NEAR, INSIDE = "everywhere", "near", "inside"
"""The region of the heat map: all voxels, those near a structure, or those inside one."""
# At the lower right: the anatomy is in the middle of a slice view, Slicer's annotations are on the left.
LEGEND_SIZE = (0.07, 0.26)
LEGEND_POSITION = (0.98, 0.03)
LEGEND_FONT = 10
SHOWN = PREFIX + "Shown"
"""Attribute of the heat node: measure and region of the values that it holds."""


def fillHeat(nodes: ResultNodes, measure: str, region: str, marginMm: float) -> None:
    """Write a measure's map into the heat node; outside the region the values become 0.

    If the node already holds these values, it is not modified. A result without a distance map always
    gets the whole map.

    Parameters
    ----------
    nodes
        The result.
    measure
        The measure; nothing happens if the result has no map of it.
    region
        `EVERYWHERE`, `NEAR` or `INSIDE`.
    marginMm
        Largest distance in mm from a structure that counts as `NEAR`, rounded down.
    """
    heat, source, distance = nodes.heat, nodes.maps.get(measure), nodes.distance
    if heat is None or source is None:
        return
    if distance is None:
        region = EVERYWHERE
    content = f"{measure} {region}" + (f" {int(marginMm)}" if region == NEAR else "")
    if heat.GetAttribute(SHOWN) == content:
        return
    target, values = slicer.util.arrayFromVolume(heat), slicer.util.arrayFromVolume(source)
    if region == EVERYWHERE:
        target[:] = values
    else:
        farthest = 0 if region == INSIDE else min(int(marginMm), FARTHEST_MM - 1)
        np.multiply(values, slicer.util.arrayFromVolume(distance) <= farthest, out=target)
    wasModifying = heat.StartModify()  # the views render once
    heat.SetAttribute(SHOWN, content)
    heat.SetAttribute(MEASURE, measure)
    slicer.util.arrayFromVolumeModified(heat)
    heat.EndModify(wasModifying)


def styleMap(
    volume: vtkMRMLScalarVolumeNode,
    windowMax: float,
    threshold: float,
    colors: vtkMRMLColorNode | None = None,
) -> None:
    """Set the colours of a map.

    Parameters
    ----------
    volume
        The map. Voxels with the value 0 are always transparent.
    windowMax
        The value that gets the last colour; 0 gets the first.
    threshold
        Share of `windowMax`, 0 to 1, below which voxels are transparent.
    colors
        The colours; None for `colorTable`.
    """
    largest = displayMax(windowMax)
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


def displayMax(windowMax: float) -> float:
    """Return `windowMax` rounded to five digits.

    A scene file stores six digits of the window and of the level, and the level is half the window.
    """
    return float(f"{windowMax:.5g}")


def colorTable() -> vtkMRMLColorTableNode:
    """Return the scene's node with the heat map's colours; the first call creates it."""
    node = slicer.mrmlScene.GetFirstNodeByName(COLOR_NODE)
    if node is None or not node.IsA("vtkMRMLColorTableNode"):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", COLOR_NODE)
        # Color tables are hidden by default, and a .mrml scene does not save hidden nodes.
        node.SetHideFromEditors(False)
    elif any(node.GetLookupTable().GetTableValue(node.GetNumberOfColors() - 1)[:3]):
        return node
    # A new table has no colours. One from a scene whose colour file is missing has only black.
    colors = heatColors()
    node.SetTypeToUser()
    node.SetNumberOfColors(len(colors))
    for index, (red, green, blue) in enumerate(colors):
        node.SetColor(index, f"{index / (len(colors) - 1):.3f}", red, green, blue, 1.0)
    return node


def legendTitle(measure: str) -> str:
    """Return the title of the legend for a measure."""
    titles: dict[str, str] = dict(LEGENDS.items())
    return _(titles[measure]) if measure in titles else measure


def showLegend(
    displayable: vtkMRMLDisplayableNode, measure: str, visible: bool
) -> vtkMRMLColorLegendDisplayNode:
    """Show or hide the legend of a map or of a coloured surface; the first call creates it.

    Returns
    -------
    vtkMRMLColorLegendDisplayNode
        The legend's node.
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
