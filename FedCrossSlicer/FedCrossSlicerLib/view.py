"""Set how a result is displayed from Slicer's Python console.

::

    from FedCrossSlicer import FedCrossSlicerLogic
    from FedCrossSlicerLib.view import ViewOptions, show

    result = FedCrossSlicerLogic().segment(volume, "/data/bundle.zip")
    show(result, ViewOptions(measure="entropy", region="near", marginMm=10.0))
"""

from FedCrossSlicerLib.display.view import ViewOptions, show

__all__ = ["ViewOptions", "show"]
