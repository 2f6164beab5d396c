"""The section Uncertainty: displays the result as the parameters of the panel describe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import vtk

from FedCrossSlicerLib.display.colors import colorName
from FedCrossSlicerLib.display.contours import guarantees
from FedCrossSlicerLib.display.heatmap import SHOWN
from FedCrossSlicerLib.display.view import ViewOptions, show
from FedCrossSlicerLib.panel.parameters import Parameters, Region, viewOptions
from FedCrossSlicerLib.scene.nodes import ResultNodes

if TYPE_CHECKING:
    from slicer import vtkMRMLScalarVolumeNode


class UncertaintySection:
    """Applies every change of the parameters to the views.

    Slicer connects the widgets of this section to the parameters by their ``SlicerParameterName``.

    Parameters
    ----------
    ui
        The named widgets of the .ui file.
    """

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self._shown: tuple[str, ViewOptions] | None = None
        self._isOpening = False
        self._observed: tuple[ResultNodes, int] | None = None
        self._content = ""  # what the heat node holds

    def refresh(self, nodes: ResultNodes | None, parameters: Parameters) -> None:
        """Display the result as the parameters describe, unless it is displayed so already.

        The first call after `reset` leaves the layers of the slice views as they are.
        """
        self.ui.marginSlider.enabled = parameters.region is Region.NEAR
        self.ui.legendCheck.enabled = parameters.showHeat or parameters.colorSurface
        hasOutlines = nodes is not None and nodes.outlines is not None
        self.ui.membersCheck.enabled = self.ui.envelopeCheck.enabled = hasOutlines
        self._refreshContours(nodes, parameters)
        self.ui.regionCombo.enabled = nodes is not None and nodes.distance is not None
        isOpening, self._isOpening = self._isOpening, False
        if nodes is None:
            self._unobserve()
            self._shown = None
        elif self._shown != _wanted(nodes, parameters):
            self._show(nodes, parameters, overlay=not isOpening)

    def present(self, nodes: ResultNodes, parameters: Parameters) -> None:
        """Display a new result, also while another module is open."""
        self._show(nodes, parameters, overlay=True)

    def _show(self, nodes: ResultNodes, parameters: Parameters, overlay: bool) -> None:
        self._unobserve()
        self._shown = _wanted(nodes, parameters)
        show(nodes, self._shown[1], overlay)
        self._observe(nodes)

    def _refreshContours(self, nodes: ResultNodes | None, parameters: Parameters) -> None:
        """Enable the widgets of the contours, and say what is guaranteed of those that are shown."""
        contours = nodes.contours if nodes is not None else None
        shown = contours is not None and parameters.showContours
        self.ui.contoursCheck.enabled = contours is not None
        self.ui.contourCombo.enabled = self.ui.contours3DCheck.enabled = shown
        self.ui.contoursLegend.visible = shown
        if shown:
            self.ui.contoursLegend.text = "<br>".join(
                f'<span style="color:{colorName(color)}">\u25a0</span> {text}'
                for color, text in guarantees(contours, parameters.contourPercent.value)
            )

    def reset(self) -> None:
        """Make the next `refresh` display the result again, because the panel or a scene is opened."""
        self._unobserve()
        self._shown = None
        self._isOpening = True

    def _observe(self, nodes: ResultNodes) -> None:
        """Observe the heat node: a sequence browser replaces its values at another time point."""
        if nodes.heat is not None:
            self._content = nodes.heat.GetAttribute(SHOWN)
            event = vtk.vtkCommand.ModifiedEvent
            self._observed = (nodes, nodes.heat.AddObserver(event, self._onHeat))

    def _unobserve(self) -> None:
        if self._observed is not None:
            nodes, tag = self._observed
            if nodes.heat is not None:
                nodes.heat.RemoveObserver(tag)
        self._observed = None

    def _onHeat(self, heat: vtkMRMLScalarVolumeNode, _event: str) -> None:
        if self._observed is None or heat.GetAttribute(SHOWN) == self._content:
            return
        nodes, options = self._observed[0], self._shown[1] if self._shown else None
        self._unobserve()
        if options is not None:
            show(nodes, options, overlay=False)
            self._observe(nodes)


def _wanted(nodes: ResultNodes, parameters: Parameters) -> tuple[str, ViewOptions]:
    """ID of the segmentation, and how the result is to be displayed."""
    return nodes.segmentation.GetID(), viewOptions(parameters)
