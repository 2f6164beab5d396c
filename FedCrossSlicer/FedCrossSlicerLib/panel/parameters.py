"""The parameters of the panel, which Slicer saves with the scene.

The bundle's path is not a parameter: it is of no use on another computer and may contain a person's
name. The device is not a parameter either, because another computer may not have it.
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

from fedcross.contract import measures
from fedcross.contract.display import AGREE_FROM, NEAR_MM, OPACITY, THRESHOLD, TRUST_FROM
from fedcross.contract.verdict import Thresholds
from FedCrossSlicerLib.display.contours import DEFAULT_PERCENT, PERCENTS
from FedCrossSlicerLib.display.heatmap import EVERYWHERE, INSIDE, NEAR
from FedCrossSlicerLib.display.view import ViewOptions


class Measure(enum.Enum):
    """The measure of the heat map. Saved scenes contain the names of these constants."""

    STD, ENTROPY, MUTUAL_INFORMATION, VARIATION_RATIO = measures.MEASURES

    def label(self) -> str:
        """Return the label in the panel."""
        return _(measures.TITLES[self.value])


class Region(enum.Enum):
    """Where the heat map is displayed; the values are those of `ViewOptions`."""

    EVERYWHERE = EVERYWHERE
    NEAR = NEAR
    INSIDE = INSIDE

    def label(self) -> str:
        """Return the label in the panel."""
        return {
            Region.EVERYWHERE: _("everywhere"),
            Region.NEAR: _("near the structures"),
            Region.INSIDE: _("inside the structures"),
        }[self]


class ContourPercent(enum.Enum):
    """Largest share of error of the contours in percent. Saved scenes contain the constants' names."""

    FIVE, TEN = PERCENTS

    def label(self) -> str:
        """Return the label in the panel."""
        return _("{percent} %").format(percent=self.value)


Share = Annotated[float, WithinRange(0.0, 1.0)]


@parameterNodeWrapper
class Parameters:
    """Parameters of the panel. Saved scenes contain their names, so the names must not change.

    Attributes
    ----------
    inputVolume
        The volume to segment; with several channels that of the first.
    channel2, channel3, channel4, channel5, channel6, channel7, channel8
        The volumes of the further channels of the bundle.
    roi
        The box that limits the segmentation; None for the whole volume.
    allTimePoints
        Whether to segment every time point of a sequence.
    localise
        Whether to compute all members only near the structures.
    result
        The segmentation of the displayed result.
    measure
        The measure of the heat map.
    showHeat
        Whether the heat map lies over the volume.
    opacity
        Opacity of the heat map, 0 to 1.
    threshold
        Share of the measure's largest value below which the heat map is transparent.
    colorTable
        Colours of heat map and surface; None for the module's own colours.
    region
        Where the heat map is displayed.
    marginMm
        Largest distance from a structure in mm that counts as near.
    showLegend
        Whether the views show a legend of the colours.
    showMembers
        Whether the slice views show the outline of each member.
    showEnvelope
        Whether the slice views show the outlines of the members' intersection and union.
    showContours
        Whether the slice views show the inner and the outer contour.
    contourPercent
        Largest share of error of these contours.
    contoursIn3D
        Whether the 3D views show these contours as surfaces too.
    colorSurface
        Whether the 3D view colours the surface by the map.
    agreeFrom
        Mean pairwise Dice from which on the verdict is "members agree".
    trustFrom
        Mean pairwise Dice below which the verdict is "do not trust".
    """

    inputVolume: vtkMRMLScalarVolumeNode
    channel2: vtkMRMLScalarVolumeNode
    channel3: vtkMRMLScalarVolumeNode
    channel4: vtkMRMLScalarVolumeNode
    channel5: vtkMRMLScalarVolumeNode
    channel6: vtkMRMLScalarVolumeNode
    channel7: vtkMRMLScalarVolumeNode
    channel8: vtkMRMLScalarVolumeNode
    roi: vtkMRMLMarkupsROINode
    allTimePoints: bool = False
    localise: bool = False
    result: vtkMRMLSegmentationNode
    measure: Measure = Measure(measures.DEFAULT_MEASURE)
    showHeat: bool = True
    opacity: Share = OPACITY
    threshold: Share = THRESHOLD
    colorTable: vtkMRMLColorTableNode
    region: Region = Region.EVERYWHERE
    marginMm: Annotated[float, WithinRange(1.0, 50.0)] = NEAR_MM
    showLegend: bool = True
    showMembers: bool = False
    showEnvelope: bool = False
    showContours: bool = True
    contourPercent: ContourPercent = ContourPercent(DEFAULT_PERCENT)
    contoursIn3D: bool = False
    colorSurface: bool = False
    agreeFrom: Share = AGREE_FROM
    trustFrom: Share = TRUST_FROM


def channelVolumes(parameters: Parameters, count: int) -> list[vtkMRMLScalarVolumeNode | None]:
    """Return the chosen volume of each of the first `count` channels; None if none is chosen."""
    further = [getattr(parameters, f"channel{number}") for number in range(2, count + 1)]
    return [parameters.inputVolume, *further]


def viewOptions(parameters: Parameters) -> ViewOptions:
    """Return the settings by which the result is displayed."""
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
        contours=parameters.showContours,
        contourPercent=parameters.contourPercent.value,
        contoursIn3D=parameters.contoursIn3D,
        surface=parameters.colorSurface,
    )


def thresholds(parameters: Parameters) -> Thresholds:
    """Return the thresholds of the verdicts."""
    return Thresholds(agree=parameters.agreeFrom, trust=parameters.trustFrom)
