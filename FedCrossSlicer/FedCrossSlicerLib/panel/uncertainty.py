"""How the result is looked at."""

from typing import Any

import vtk

from FedCrossSlicerLib.display.heatmap import SHOWN
from FedCrossSlicerLib.display.view import ViewOptions, show
from FedCrossSlicerLib.panel.parameters import Parameters, Region, viewOptions
from FedCrossSlicerLib.scene.nodes import ResultNodes


class UncertaintySection:
    """Hands every change of the parameters to the views.

    Its widgets are tied to the parameters by their ``SlicerParameterName``.

    Parameters
    ----------
    ui
        Named children of the loaded .ui.
    """

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self._shown: tuple[str, ViewOptions] | None = None
        self._watched: tuple[Any, int] | None = None
        self._filled = ""

    def refresh(self, nodes: ResultNodes | None, parameters: Parameters) -> None:
        """Show the result as the parameters say; nothing happens when that was done before."""
        self.ui.marginSlider.enabled = parameters.region is Region.NEAR
        self.ui.legendCheck.enabled = parameters.showHeat or parameters.colorSurface
        has = nodes is not None and nodes.outlines is not None
        self.ui.membersCheck.enabled = self.ui.envelopeCheck.enabled = has
        self.ui.regionCombo.enabled = nodes is not None and nodes.distance is not None
        if nodes is None:
            self.forget()
            return
        wanted = (nodes.segmentation.GetID(), viewOptions(parameters))
        if wanted != self._shown:
            self._unwatch()
            show(nodes, wanted[1])
            self._shown = wanted
            self._watch(nodes)

    def forget(self) -> None:
        """Show the result again at the next refresh: the scene is another one."""
        self._unwatch()
        self._shown = None

    def _watch(self, nodes: ResultNodes) -> None:
        """Notice when a sequence browser puts another time point's map into the heat node."""
        if nodes.heat is not None:
            self._filled = nodes.heat.GetAttribute(SHOWN)
            event = vtk.vtkCommand.ModifiedEvent
            self._watched = (nodes, nodes.heat.AddObserver(event, self._onHeat))

    def _unwatch(self) -> None:
        if self._watched is not None and self._watched[0].heat is not None:
            self._watched[0].heat.RemoveObserver(self._watched[1])
        self._watched = None

    def _onHeat(self, heat: Any, _event: Any) -> None:
        if self._watched is not None and heat.GetAttribute(SHOWN) != self._filled:
            nodes, options = self._watched[0], self._shown[1] if self._shown else None
            self._unwatch()
            if options is not None:
                show(nodes, options)
                self._watch(nodes)
