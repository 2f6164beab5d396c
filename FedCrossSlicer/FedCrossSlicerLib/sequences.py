"""Segment every time point of a sequence from Slicer's Python console.

::

    from FedCrossSlicer import FedCrossSlicerLogic
    from FedCrossSlicerLib.sequences import segmentSequence

    volume = slicer.util.getNode("Volume")  # the volume that shows the sequence
    result = segmentSequence(FedCrossSlicerLogic(), volume, "/data/bundle.zip")
"""

from FedCrossSlicerLib.child.request import Options
from FedCrossSlicerLib.tasks.sequence import segmentSequence

__all__ = ["Options", "segmentSequence"]
