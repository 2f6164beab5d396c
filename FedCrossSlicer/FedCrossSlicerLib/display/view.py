"""How a result is looked at. Everything comes from what is in the scene, so it is instant."""

from dataclasses import dataclass
from typing import Any

import slicer

from FedCrossSlicerLib.display.heatmap import EVERYWHERE, fillHeat, showLegend, styleMap
from FedCrossSlicerLib.display.outlines import showOutlines
from FedCrossSlicerLib.display.surface import hideSurface, showSurface
from FedCrossSlicerLib.scene.nodes import ResultNodes


@dataclass(frozen=True)
class ViewOptions:
    """What to show.

    Attributes
    ----------
    measure
        Which map; one that the result lacks is replaced by the one that it was made with.
    heat, opacity
        Whether the map lies over the volume, and how opaque (0 to 1).
    threshold
        Share of the measure's largest possible value, below which the image shows through.
    colors
        A colour node; None for our own table.
    region, marginMm
        "everywhere", "near" the structures (so many mm around and inside) or "inside" them.
    legend
        Whether colours are explained.
    members, envelope
        Outlines of every member; of what all and what any of them say.
    surface
        Whether the 3D surface is coloured by the map.
    """

    measure: str = "std"
    heat: bool = True
    opacity: float = 0.65
    threshold: float = 0.1
    colors: Any = None
    region: str = EVERYWHERE
    marginMm: float = 5.0
    legend: bool = True
    members: bool = False
    envelope: bool = False
    surface: bool = False


def show(nodes: ResultNodes, options: ViewOptions) -> None:
    """Look at a result in this way; doing it again changes nothing.

    What the result lacks, or the user deleted, is left out.
    """
    measure = options.measure if options.measure in nodes.maps else nodes.askedMeasure
    if nodes.heat is not None and measure in nodes.maps:
        fillHeat(nodes, measure, options.region, options.marginMm)
        styleMap(nodes.heat, nodes.windowMax(measure), options.threshold, options.colors)
        showLegend(nodes.heat, measure, options.heat and options.legend)
        _layer(nodes, options)
    showOutlines(nodes.outlines, options.members, options.envelope)
    if options.surface:
        showSurface(nodes, measure, options.colors, options.legend)
    else:
        hideSurface(nodes)


def _layer(nodes: ResultNodes, options: ViewOptions) -> None:
    """Put the heat map over its volume wherever that is on view, or else everywhere."""
    heat, volume = nodes.heat, nodes.volume
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    if not options.heat:
        for composite in composites:
            if composite.GetForegroundVolumeID() == heat.GetID():
                composite.SetForegroundVolumeID(None)
        return
    showing = [each for each in composites if _background(each) is volume and volume is not None]
    for composite in showing or composites:
        if volume is not None:
            composite.SetBackgroundVolumeID(volume.GetID())
        composite.SetForegroundVolumeID(heat.GetID())
        composite.SetForegroundOpacity(options.opacity)


def _background(composite: Any) -> Any:
    return slicer.mrmlScene.GetNodeByID(composite.GetBackgroundVolumeID() or "")
