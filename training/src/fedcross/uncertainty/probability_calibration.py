"""How well a probability states how often it is right, from counts on a fixed grid.

The counts of cases can be added, so that figures of many cases, or of many sites, need no voxel.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

BINS: Final = 20
EDGES: Final = np.linspace(0.0, 1.0, BINS + 1)


class CalibrationCounts:
    """Counts of voxels in `BINS` bins of a probability, all equally wide.

    Bin b holds the voxels with ``EDGES[b] <= p < EDGES[b + 1]``; the last bin also holds p = 1.

    Attributes
    ----------
    voxels, positive : NDArray
        int64 (`BINS`,): number of voxels, and of those where the event happened.
    probability, squared_error : NDArray
        float64 (`BINS`,): sum of the probabilities, and of the squared differences between the
        probability and the event, 0 or 1.
    """

    def __init__(self) -> None:
        self.voxels = np.zeros(BINS, np.int64)
        self.positive = np.zeros(BINS, np.int64)
        self.probability = np.zeros(BINS, np.float64)
        self.squared_error = np.zeros(BINS, np.float64)

    def add(self, probability: NDArray[np.floating], event: NDArray[np.bool_]) -> None:
        """Count voxels.

        Parameters
        ----------
        probability
            Floating-point array of any shape, from 0 to 1.
        event
            bool array of the same shape: True where what the probability states is the case.

        Raises
        ------
        ValueError
            If the shapes differ.
        """
        if probability.shape != event.shape:
            raise ValueError(
                f"probability {probability.shape} and event {event.shape} must have one shape."
            )
        p, y = probability.ravel().astype(np.float64), event.ravel()
        bins = np.clip((p * BINS).astype(np.intp), 0, BINS - 1)
        self.voxels += np.bincount(bins, minlength=BINS)
        self.positive += np.bincount(bins[y], minlength=BINS)
        self.probability += np.bincount(bins, weights=p, minlength=BINS)
        self.squared_error += np.bincount(bins, weights=(p - y) ** 2, minlength=BINS)

    def record(self) -> dict[str, list[Any]]:
        """Return the counts for JSON, by the names of the attributes."""
        return {name: values.tolist() for name, values in vars(self).items()}

    @classmethod
    def total(cls, records: Iterable[Mapping[str, Any]]) -> "CalibrationCounts":
        """Return the sum of records that `record` made; without any, all counts are 0."""
        counts = cls()
        for record in records:
            for name, values in vars(counts).items():
                values += np.asarray(record[name], values.dtype)
        return counts

    def expected_calibration_error(self) -> float | None:
        """Return the expected calibration error, 0 to 1; None without voxels.

        It is the mean over all voxels of the distance between the mean probability of the voxel's bin
        and the share of the bin's voxels where the event happened. Source: Naeini et al., "Obtaining
        well calibrated probabilities using Bayesian binning", AAAI 2015; Guo et al., ICML 2017.
        """
        total = int(self.voxels.sum())
        if total == 0:
            return None
        return float(np.abs(self.probability - self.positive).sum() / total)

    def brier_score(self) -> float | None:
        """Return the mean squared difference between probability and event; None without voxels.

        From 0 to 1; a probability of 0.5 everywhere has 0.25. Source: Brier, "Verification of forecasts
        expressed in terms of probability", Monthly Weather Review 1950, for one of two classes.
        """
        total = int(self.voxels.sum())
        return float(self.squared_error.sum() / total) if total else None

    def curve(self) -> list[tuple[float, float, int]]:
        """Return the reliability curve: mean probability, share of events and voxels of each bin.

        Empty bins are left out.
        """
        return [
            (float(p / n), float(events / n), int(n))
            for p, events, n in zip(self.probability, self.positive, self.voxels, strict=True)
            if n
        ]
