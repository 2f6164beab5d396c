"""The settings by which a result is displayed. Nothing is computed again, so changes show at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedcross.contract.display import NEAR_MM, OPACITY, THRESHOLD
from fedcross.contract.measures import DEFAULT_MEASURE
from FedCrossSlicerLib.display.contours import DEFAULT_PERCENT, showContours
from FedCrossSlicerLib.display.heatmap import EVERYWHERE, fillHeat, showLegend, styleMap
from FedCrossSlicerLib.display.layers import overlayHeat, removeHeat
from FedCrossSlicerLib.display.outlines import showOutlines
from FedCrossSlicerLib.display.surface import hideSurface, showSurface
from FedCrossSlicerLib.scene.nodes import ResultNodes

if TYPE_CHECKING:
    from slicer import vtkMRMLColorNode


@dataclass(frozen=True)
class ViewOptions:
    """The settings.

    Attributes
    ----------
    measure
        The measure to display, such as ``"std"``. If the result has no map of it, the requested measure
        is displayed.
    heat
        Whether the heat map lies over the volume.
    opacity
        Opacity of the heat map, 0 to 1.
    threshold
        Share of the measure's largest value, 0 to 1, below which the heat map is transparent.
    colors
        Colours of heat map and surface; None for the module's own colours.
    region
        Where the heat map has values: ``"everywhere"``, ``"near"`` or ``"inside"`` the structures.
    marginMm
        Largest distance from a structure in mm that counts as near.
    legend
        Whether the views show a legend of the colours.
    members
        Whether the slice views show the outline of each member.
    envelope
        Whether the slice views show the outlines of the members' intersection and union.
    contours
        Whether the slice views show the inner and the outer contour of each structure.
    contourPercent
        Which contours: the guarantee allows at most this share of error, in percent; 5 or 10.
    contoursIn3D
        Whether the 3D views show these contours as surfaces too.
    surface
        Whether the 3D view colours the surface by the map.
    """

    measure: str = DEFAULT_MEASURE
    heat: bool = True
    opacity: float = OPACITY
    threshold: float = THRESHOLD
    colors: vtkMRMLColorNode | None = None
    region: str = EVERYWHERE
    marginMm: float = NEAR_MM
    legend: bool = True
    members: bool = False
    envelope: bool = False
    contours: bool = True
    contourPercent: int = DEFAULT_PERCENT
    contoursIn3D: bool = False
    surface: bool = False


def show(nodes: ResultNodes, options: ViewOptions, overlay: bool = True) -> None:
    """Display a result with these settings; a second call with the same settings changes nothing.

    Nodes that the result does not have or that the user has deleted are skipped.

    Parameters
    ----------
    nodes
        The result.
    options
        The settings.
    overlay
        Whether the slice views lay the heat map over the volume, or remove it if `options.heat` is off.
        False leaves the layers of the slice views as they are.
    """
    measure = options.measure if options.measure in nodes.maps else nodes.requestedMeasure
    heat = nodes.heat
    if heat is not None and measure in nodes.maps:
        fillHeat(nodes, measure, options.region, options.marginMm)
        styleMap(heat, nodes.windowMax(measure), options.threshold, options.colors)
        showLegend(heat, measure, options.heat and options.legend)
        if overlay and options.heat:
            overlayHeat(heat, nodes.volume, options.opacity)
        elif overlay:
            removeHeat(heat)
    showOutlines(nodes.outlines, options.members, options.envelope)
    showContours(
        nodes.contours, options.contourPercent if options.contours else None, options.contoursIn3D
    )
    if options.surface:
        showSurface(nodes, measure, options.colors, options.legend)
    else:
        hideSurface(nodes)
