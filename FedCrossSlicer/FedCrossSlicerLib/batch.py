"""Segment every volume of a folder from Slicer's Python console.

::

    from FedCrossSlicerLib.batch import segmentFolder

    segmentFolder("/data/volumes", "/data/bundle.zip", "/data/results")
"""

from FedCrossSlicerLib.tasks.folder import Options, Row, segmentFolder

__all__ = ["Options", "Row", "segmentFolder"]
