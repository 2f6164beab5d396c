"""How the result is looked at."""

from typing import Any

from FedCrossSlicerLib.parameters import Parameters, Region, viewOptions
from FedCrossSlicerLib.resultnodes import ResultNodes
from FedCrossSlicerLib.view import ViewOptions, show


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

    def refresh(self, nodes: ResultNodes | None, parameters: Parameters) -> None:
        """Show the result as the parameters say; nothing happens when that was done before."""
        self.ui.marginSlider.enabled = parameters.region is Region.NEAR
        self.ui.legendCheck.enabled = parameters.showHeat or parameters.colorSurface
        has = nodes is not None and nodes.outlines is not None
        self.ui.membersCheck.enabled = self.ui.envelopeCheck.enabled = has
        self.ui.regionCombo.enabled = nodes is not None and nodes.distance is not None
        if nodes is None:
            self._shown = None
            return
        wanted = (nodes.segmentation.GetID(), viewOptions(parameters))
        if wanted != self._shown:
            show(nodes, wanted[1])
            self._shown = wanted

    def forget(self) -> None:
        """Show the result again at the next refresh: the scene is another one."""
        self._shown = None
