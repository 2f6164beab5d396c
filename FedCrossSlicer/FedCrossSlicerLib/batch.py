"""Segment every volume of a folder from Slicer's Python console.

::

    from FedCrossSlicerLib.batch import segmentFolder

    segmentFolder("/data/volumes", "/data/bundle.zip", "/data/results")
"""

from FedCrossSlicerLib.child.request import Options
from FedCrossSlicerLib.tasks.folder import Row, segmentFolder

__all__ = ["Options", "Row", "segmentFolder"]
