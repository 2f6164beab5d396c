"""What the panel remembers; saved with the scene."""

from typing import Annotated

from slicer import vtkMRMLScalarVolumeNode
from slicer.parameterNodeWrapper import Choice, parameterNodeWrapper

MEASURES = ("std", "entropy", "mutual_information", "variation_ratio")
DEVICES = ("auto", "cpu", "cuda:0")


@parameterNodeWrapper
class Parameters:
    """Parameters of the panel.

    inputVolume - volume to segment.
    bundlePath - bundle folder or .zip.
    device - where to compute.
    measure - what the heat map shows.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    bundlePath: str = ""
    device: Annotated[str, Choice(list(DEVICES))] = "auto"
    measure: Annotated[str, Choice(list(MEASURES))] = "std"
