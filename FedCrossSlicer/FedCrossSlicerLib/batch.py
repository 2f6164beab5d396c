"""Segment every volume of a folder from Slicer's Python console.

::

    from FedCrossSlicerLib.batch import segmentFolder

    segmentFolder("/data/volumes", "/data/bundle.zip", "/data/results")
"""

from fedcross.contract.request import RequestOptions
from FedCrossSlicerLib.tasks.folder import Row, segmentFolder

__all__ = ["RequestOptions", "Row", "segmentFolder"]
