"""What to evaluate, and how."""

import math
from dataclasses import dataclass, field

from fedcross.contract.request import RequestOptions
from fedcross.errors import ConfigError

BAND_MM = 10.0
PLACES = 20
"""Number of places that the simulated reader corrects at most."""
DRAWS = 20
"""Number of random reviews whose mean is given."""


@dataclass(frozen=True)
class EvaluationOptions:
    """How to evaluate.

    Attributes
    ----------
    band_mm
        Voxels at most this far from a border of the drawn or the found label map are near it, mm.
    segmentation
        Device, precision, back-end and measure of the segmentation.

    Raises
    ------
    ConfigError
        If the band is not above 0.
    """

    band_mm: float = BAND_MM
    segmentation: RequestOptions = field(default_factory=RequestOptions)

    def __post_init__(self) -> None:
        if not 0 < self.band_mm < math.inf:
            raise ConfigError(f"The band must be above 0 mm, got {self.band_mm}.", "Use 10.")
