"""An inner and an outer contour of a structure, and the losses by which their margins are chosen.

The contours are level sets of the signed distance to the border of the segmentation, negative inside.
For a margin of d mm the inner contour holds the voxels of the segmentation that are farther than d from
every voxel outside of it, and the outer contour all voxels up to d from a voxel of the segmentation. So
the sets are nested: a larger margin makes the inner contour smaller and the outer one larger. Without a
segmentation both are empty.

Losses of a case, from 0 to 1, which do not rise with the margin:

- inner: the share of what the contour holds that is not the structure, 0 if it holds nothing; for each
  margin the largest share at this or a larger margin, because the share itself may rise.
- outer: the share of the structure that the contour misses, 0 if there is no structure.

`fedcross.uncertainty.risk_control` chooses the margins from the losses of labelled cases.
"""

from typing import Final

import numpy as np
import scipy
from numpy.typing import NDArray

MARGINS_MM: Final[tuple[float, ...]] = (
    *(step / 4 for step in range(41)),
    *(float(step) for step in range(11, 51)),
)
"""The grid of margins: 0 to 10 mm in steps of 0.25 mm, then to 50 mm in steps of 1 mm."""

_ROUNDING_MM = 1e-4


def signed_distance(
    mask: NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> NDArray[np.float32]:
    """Return the distance to the nearest voxel on the other side of the border, in mm.

    Parameters
    ----------
    mask
        The segmentation, bool (z, y, x).
    spacing_mm
        Along (z, y, x).

    Returns
    -------
    NDArray
        float32 (z, y, x): outside the mask the distance to its nearest voxel, above 0; inside minus the
        distance to the nearest voxel outside. Infinite everywhere if the mask is empty, and minus
        infinity if it is full.
    """
    if not mask.any():
        return np.full(mask.shape, np.inf, np.float32)
    if mask.all():
        return np.full(mask.shape, -np.inf, np.float32)
    edt = scipy.ndimage.distance_transform_edt
    distances = np.asarray(edt(~mask, sampling=spacing_mm), np.float32)
    inside = np.asarray(edt(mask, sampling=spacing_mm), np.float32)
    return distances - inside


def inner_contour(distances: NDArray[np.float32], margin_mm: float) -> NDArray[np.bool_]:
    """Return the voxels in the inner contour, bool (z, y, x), for signed distances."""
    return np.asarray(distances < -(margin_mm + _ROUNDING_MM if margin_mm else 0))


def outer_contour(distances: NDArray[np.float32], margin_mm: float) -> NDArray[np.bool_]:
    """Return the voxels in the outer contour, bool (z, y, x), for signed distances."""
    return np.asarray(distances <= margin_mm + _ROUNDING_MM)


def inner_losses(distances: NDArray[np.float32], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the losses of the inner contours of a case.

    Parameters
    ----------
    distances
        Signed distances of the segmentation in mm, (z, y, x).
    truth
        The structure, bool (z, y, x).

    Returns
    -------
    NDArray
        float64 (G,), one for each of `MARGINS_MM`.
    """
    inside = distances < 0
    depths, wrong = -distances[inside], ~truth[inside]
    held = _count_above(depths)
    wrongly = _count_above(depths[wrong])
    shares = np.where(held > 0, wrongly / np.maximum(held, 1), 0.0)
    return np.flip(np.maximum.accumulate(np.flip(shares)))


def outer_losses(distances: NDArray[np.float32], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the losses of the outer contours of a case; see `inner_losses`."""
    count = int(truth.sum())
    return _count_above(distances[truth]) / max(1, count)


def _count_above(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how many values are above each of `MARGINS_MM`, float64 (G,)."""
    margins = np.array(MARGINS_MM) + _ROUNDING_MM
    margins[0] = 0.0
    return np.asarray(
        len(values) - np.searchsorted(np.sort(values), margins, side="right"), np.float64
    )
