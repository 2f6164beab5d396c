"""Does the ensemble's spread mark what is wrong: the error rate of voxels by their uncertainty."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

BINS: Final = 10
FEWEST: Final = 20  # voxels of a bin whose rate says anything
EDGES: Final = np.linspace(0.0, 0.5, BINS + 1)  # 0.5 is the largest std of two members


class Reliability:
    """Counts of voxels and of wrong voxels, by bins of the members' standard deviation.

    Bin b holds the voxels from ``EDGES[b]`` up to, but without, ``EDGES[b + 1]``; the last one also
    those at its upper end.
    """

    def __init__(self) -> None:
        self.voxels = np.zeros(BINS, np.int64)
        self.wrong = np.zeros(BINS, np.int64)

    def add(self, std: NDArray[np.float32], wrong: NDArray[np.bool_]) -> None:
        """Count a case: the spread (D, H, W) and where the segmentation is wrong, of one shape."""
        bins = np.clip((std * (BINS / EDGES[-1])).astype(np.intp), 0, BINS - 1)
        self.voxels += np.bincount(bins.ravel(), minlength=BINS)
        self.wrong += np.bincount(bins[wrong], minlength=BINS)

    def record(self) -> dict[str, list[int]]:
        """As JSON can hold it: ``{"voxels": [...], "wrong": [...]}``."""
        return {"voxels": self.voxels.tolist(), "wrong": self.wrong.tolist()}


def error_rates(records: Iterable[Mapping[str, Any]]) -> list[float | None]:
    """Share of wrong voxels in each bin, over all records together; None of fewer than `FEWEST`."""
    voxels, wrong = np.zeros(BINS, np.int64), np.zeros(BINS, np.int64)
    for record in records:
        voxels += record["voxels"]
        wrong += record["wrong"]
    return [float(w / n) if n >= FEWEST else None for w, n in zip(wrong, voxels, strict=True)]
