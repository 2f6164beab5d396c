"""Count how often voxels are wrong at each level of the members' standard deviation."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

BINS: Final = 10
MIN_VOXELS: Final = 20  # a bin with fewer voxels has no error rate
EDGES: Final = np.linspace(0.0, 0.5, BINS + 1)  # 0.5 is the largest std of two members


class Reliability:
    """Counts of all voxels and of wrong voxels in bins of the members' standard deviation.

    Bin b holds the voxels with ``EDGES[b] <= std < EDGES[b + 1]``. Values below the first edge count in
    the first bin, values at or above the last edge in the last bin.

    Attributes
    ----------
    voxels, wrong : NDArray
        int64 (`BINS`,): number of voxels and of wrong voxels in each bin.
    """

    def __init__(self) -> None:
        self.voxels = np.zeros(BINS, np.int64)
        self.wrong = np.zeros(BINS, np.int64)

    def add(self, std: NDArray[np.float32], wrong: NDArray[np.bool_]) -> None:
        """Count the voxels of one case.

        Parameters
        ----------
        std
            The members' standard deviation, float32 (D, H, W).
        wrong
            bool (D, H, W): True where the segmentation is wrong.
        """
        bins = np.clip((std * (BINS / EDGES[-1])).astype(np.intp), 0, BINS - 1)
        self.voxels += np.bincount(bins.ravel(), minlength=BINS)
        self.wrong += np.bincount(bins[wrong], minlength=BINS)

    def record(self) -> dict[str, list[int]]:
        """Return the counts for JSON: ``{"voxels": [...], "wrong": [...]}``."""
        return {"voxels": self.voxels.tolist(), "wrong": self.wrong.tolist()}


def error_rates(records: Iterable[Mapping[str, Any]]) -> list[float | None]:
    """Return the share of wrong voxels in each bin, from the sums over all records.

    Parameters
    ----------
    records
        As `Reliability.record` returns them; may be empty.

    Returns
    -------
    list of float or None
        `BINS` rates from 0 to 1; None for a bin with fewer than `MIN_VOXELS` voxels.
    """
    voxels, wrong = np.zeros(BINS, np.int64), np.zeros(BINS, np.int64)
    for record in records:
        voxels += record["voxels"]
        wrong += record["wrong"]
    return [float(w / n) if n >= MIN_VOXELS else None for w, n in zip(wrong, voxels, strict=True)]
