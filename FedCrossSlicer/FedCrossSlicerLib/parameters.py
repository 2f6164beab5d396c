"""What the panel remembers; saved with the scene.

The bundle's path is not among it: it means nothing on another computer and may hold a person's name.
"""

import enum

from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import parameterNodeWrapper


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


class Device(enum.Enum):
    """Where to compute; the values are the child's names."""

    AUTO = "auto"
    CPU = "cpu"
    GPU = "cuda:0"

    def label(self) -> str:
        """Return the entry in the panel."""
        return {
            Device.AUTO: _("Automatic"),
            Device.CPU: _("CPU"),
            Device.GPU: _("GPU (cuda:0)"),
        }[self]


@parameterNodeWrapper
class Parameters:
    """Parameters of the panel.

    inputVolume - volume to segment.
    device - where to compute.
    measure - what the heat map shows.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    device: Device = Device.AUTO
    measure: Measure = Measure.STD
