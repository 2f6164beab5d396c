"""A part of a volume as a set of cells: small boxes side by side, so that it takes little memory.

Shapes here are (D, H, W) = (z, y, x).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Self

import numpy as np
import scipy  # loads its parts when they are used: not before the first patch
from numpy.typing import NDArray

from fedcross.patches.placement import Start
from fedcross.volumes.grid import Triple

_NEIGHBOURS = np.ones((3, 3, 3), dtype=np.bool_)


@dataclass(frozen=True)
class Cells:
    """A set of cells.

    Attributes
    ----------
    shape : sequence of int
        Of the volume, in voxels.
    side : sequence of int
        Of a cell, in voxels; the last ones along an axis end with the volume.
    mask : NDArray
        bool, (cells along z, y, x): which are in the set.
    """

    shape: Sequence[int]
    side: Sequence[int]
    mask: NDArray[np.bool_]

    @classmethod
    def empty(cls, shape: Sequence[int], side: Sequence[int]) -> Self:
        """Return the empty set."""
        cells = [-(-voxels // one) for voxels, one in zip(shape, side, strict=True)]
        return cls(shape, side, np.zeros(cells, dtype=np.bool_))

    @classmethod
    def outside_patches(cls, starts: Sequence[Start], patch: Sequence[int], like: Self) -> Self:
        """Return the cells with a voxel that is in no patch.

        Parameters
        ----------
        starts
            Of patches in rows: every combination of where they start along z, y and x.
        patch
            Shape of a patch, (d, h, w).
        like
            Cells of the same volume and sides.
        """
        wholly_in = []
        for axis, (voxels, one) in enumerate(zip(like.shape, like.side, strict=True)):
            line = np.zeros(voxels, dtype=np.bool_)
            for low in {start[axis] for start in starts}:
                line[max(low, 0) : low + patch[axis]] = True
            wholly_in.append(np.logical_and.reduceat(line, np.arange(0, voxels, one)))
        return replace(like, mask=~reduce(np.logical_and.outer, wholly_in))

    def __or__(self, other: Self) -> Self:
        return replace(self, mask=self.mask | other.mask)

    def __and__(self, other: Self) -> Self:
        return replace(self, mask=self.mask & other.mask)

    def add(self, start: Start, voxels: NDArray[np.bool_]) -> None:
        """Add the cells of the voxels that are True in a box (d, h, w) that starts at `start`."""
        cells = []
        for axis, (low, one) in enumerate(zip(start, self.side, strict=True)):
            first, last = low // one, -(-(low + voxels.shape[axis]) // one)
            begins = (np.arange(first, last) * one - low).clip(min=0)
            voxels = np.logical_or.reduceat(voxels, begins, axis=axis)
            cells.append(slice(first, last))
        self.mask[tuple(cells)] |= voxels

    def dilate(self, margin_mm: float, spacing_mm: Triple) -> Self:
        """Return the cells with a voxel that is nearer than `margin_mm` to a voxel of the set.

        Parameters
        ----------
        margin_mm
            0 or more. Distances are rounded down to cells, so that it may be some cells more.
        spacing_mm
            Of the voxels, (x, y, z).
        """
        if not self.mask.any():  # the distance to nothing is not defined
            return self
        side_mm = [one * mm for one, mm in zip(self.side, spacing_mm[::-1], strict=True)]
        # Between the nearest voxels of two cells lies at least one cell less than between the cells.
        near = scipy.ndimage.binary_dilation(self.mask, _NEIGHBOURS)
        distance_mm = scipy.ndimage.distance_transform_edt(~near, sampling=side_mm)
        return replace(self, mask=self.mask | (distance_mm < margin_mm))

    def rim(self) -> Self:
        """Return the cells with a neighbour, at a face, edge or corner, that is not in the set.

        Where the volume ends there is no neighbour.
        """
        inner = scipy.ndimage.binary_erosion(self.mask, _NEIGHBOURS, border_value=1)
        return replace(self, mask=self.mask & ~inner)

    def voxel_mask(self, part: slice) -> NDArray[np.bool_]:
        """Return which voxels of slices z are in the set, bool (dz, H, W)."""
        z, y, x = (np.arange(n) // one for n, one in zip(self.shape, self.side, strict=True))
        return np.asarray(self.mask[z[part]][:, y][:, :, x])
