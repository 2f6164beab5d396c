"""What the panel remembers; saved with the scene.

The bundle's path is not among it: it means nothing on another computer and may hold a person's name.
Nor is the device, which another computer may lack.
"""

import enum
from typing import Annotated

from slicer import (
    vtkMRMLColorTableNode,
    vtkMRMLMarkupsROINode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
)
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

from FedCrossSlicerLib.display.heatmap import EVERYWHERE, INSIDE, NEAR
from FedCrossSlicerLib.display.view import ViewOptions
from FedCrossSlicerLib.scene.figures import Thresholds


class Measure(enum.Enum):
    """What the heat map shows; the values are the child's names."""

    STD = "std"
    ENTROPY = "entropy"
    MUTUAL_INFORMATION = "mutual_information"
    VARIATION_RATIO = "variation_ratio"

    def label(self) -> str:
        """Return the entry in the panel."""
        return {
            Measure.STD: _("Disagreement (standard deviation)"),
            Measure.ENTROPY: _("Total uncertainty (entropy)"),
            Measure.MUTUAL_INFORMATION: _("Disagreement (mutual information)"),
            Measure.VARIATION_RATIO: _("Dissenting members (variation ratio)"),
        }[self]


class Region(enum.Enum):
    """Where the heat map is shown; the values are those of `ViewOptions`."""

    EVERYWHERE = EVERYWHERE
    NEAR = NEAR
    INSIDE = INSIDE

    def label(self) -> str:
        """Return the entry in the panel."""
        return {
            Region.EVERYWHERE: _("everywhere"),
            Region.NEAR: _("near the structures"),
            Region.INSIDE: _("inside the structures"),
        }[self]


Share = Annotated[float, WithinRange(0.0, 1.0)]


@parameterNodeWrapper
class Parameters:
    """Parameters of the panel.

    inputVolume, roi, allTimePoints, localise - what to segment, and whether only near the structures.
    result - which result is looked at; the others are how.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    roi: vtkMRMLMarkupsROINode
    allTimePoints: bool = False
    localise: bool = False
    result: vtkMRMLSegmentationNode
    measure: Measure = Measure.STD
    showHeat: bool = True
    opacity: Share = 0.65
    threshold: Share = 0.1
    colorTable: vtkMRMLColorTableNode
    region: Region = Region.EVERYWHERE
    marginMm: Annotated[float, WithinRange(1.0, 50.0)] = 5.0
    showLegend: bool = True
    showMembers: bool = False
    showEnvelope: bool = False
    colorSurface: bool = False
    agreeFrom: Share = 0.9
    trustFrom: Share = 0.75


def viewOptions(parameters: Parameters) -> ViewOptions:
    """Return how to look at the result."""
    return ViewOptions(
        measure=parameters.measure.value,
        heat=parameters.showHeat,
        opacity=parameters.opacity,
        threshold=parameters.threshold,
        colors=parameters.colorTable,
        region=parameters.region.value,
        marginMm=parameters.marginMm,
        legend=parameters.showLegend,
        members=parameters.showMembers,
        envelope=parameters.showEnvelope,
        surface=parameters.colorSurface,
    )


def thresholds(parameters: Parameters) -> Thresholds:
    """Return what the verdicts rest on."""
    return Thresholds(agree=parameters.agreeFrom, trust=parameters.trustFrom)
