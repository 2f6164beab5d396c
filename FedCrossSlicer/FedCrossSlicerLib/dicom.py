"""Save a result as DICOM from Slicer's Python console.

::

    from FedCrossSlicer import FedCrossSlicerLogic
    from FedCrossSlicerLib.dicom import saveAsDicom

    result = FedCrossSlicerLogic().segment(volume, "/data/bundle.zip")
    saveAsDicom(result, "/data/dicom")
"""

from FedCrossSlicerLib.tasks.dicom import saveAsDicom

__all__ = ["saveAsDicom"]
