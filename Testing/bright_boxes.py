"""Volumes with bright boxes, and members that segment what is bright, for tests of the localiser."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedcross.volumes.grid import Grid

GRID = Grid((64, 48, 32), (2.0, 2.0, 5.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
SIDE = 16  # voxels of a patch along each axis
PATCH = (SIDE, SIDE, SIDE)


@dataclass(frozen=True)
class IntensityMember:
    """A member whose probability of the structure is `gain` times intensity, at least `lowest`.

    It reads the intensity of one channel.
    """

    gain: float = 1
    lowest: float = 0
    channel: int = 0

    def __call__(self, patch: NDArray[np.float32]) -> NDArray[np.float32]:
        structure = np.maximum(np.float32(self.gain) * patch[self.channel], np.float32(self.lowest))
        return np.stack([1 - structure, structure])


certain, less_certain = IntensityMember(), IntensityMember(0.8)


def volume_with(*boxes: tuple[slice, slice, slice]) -> NDArray[np.float32]:
    """Return a volume of zeros on `GRID` with ones in some boxes, given as slices (z, y, x)."""
    volume = np.zeros(GRID.shape, np.float32)
    for box in boxes:
        volume[box] = 1
    return volume


BLOB = (slice(10, 14), slice(20, 24), slice(30, 36))
