"""Pictures of slices of volumes and patches."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedcross.training.data.check.report import Picture


def coarsest_axis(spacing_zyx: Sequence[float]) -> int:
    """Return the axis with the largest spacing, across which the slices lie; the first of equal ones."""
    return int(np.argmax(spacing_zyx))


def draw_slice(
    voxels: NDArray[Any],
    label: NDArray[np.uint8],
    spacing_zyx: Sequence[float],
    axis: int,
    index: int,
    window: tuple[float, float],
) -> Picture:
    """Draw one slice of a volume in LPS orientation, the head at the top if z lies in it.

    Parameters
    ----------
    voxels, label
        (D, H, W) = (z, y, x); image of any real type, and label map.
    spacing_zyx
        Voxel size along (z, y, x).
    axis, index
        The slice: its axis and its number.
    window
        Intensities of black and white.
    """
    low, high = window
    plane, outline = np.take(voxels, index, axis).astype(np.float32), np.take(label, index, axis)
    plane = np.clip((plane - low) / max(high - low, 1e-9), 0, 1)
    if axis != 0:  # the rows are along z, which points to the head
        plane, outline = plane[::-1], outline[::-1]
    height, width = (spacing_zyx[other] for other in range(3) if other != axis)
    return Picture(plane, outline, height / width)
