"""Segment every volume of a folder from Slicer's Python console.

::

    from FedCrossSlicerLib.batch import segmentFolder

    segmentFolder("/data/volumes", "/data/bundle.zip", "/data/results")
"""

from fedcross.contract.table import Row
from FedCrossSlicerLib.child.request import Options
from FedCrossSlicerLib.tasks.folder import segmentFolder

__all__ = ["Options", "Row", "segmentFolder"]
