"""Review the hot spots of a result from Slicer's Python console.

::

    from FedCrossSlicer import FedCrossSlicerLogic
    from FedCrossSlicerLib.review import Review, State

    result = FedCrossSlicerLogic().segment(volume, "/data/bundle.zip")
    review = Review(result)
    review.next()  # every slice view shows the first hot spot
    review.mark(review.current, State.REVIEWED)
"""

from FedCrossSlicerLib.scene.hotspots import HotSpot, State
from FedCrossSlicerLib.scene.review import Review

__all__ = ["HotSpot", "Review", "State"]
