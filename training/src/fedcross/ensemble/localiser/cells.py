"""A part of a volume as a set of cells, which are small boxes of voxels; this needs little memory.

Axes are (D, H, W) = (z, y, x).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Self

import numpy as np
import scipy  # scipy imports its submodules on first use, which keeps the start of a process fast
from numpy.typing import NDArray

from fedcross.patches.placement import Start
from fedcross.volumes.grid import Triple

_NEIGHBOURS = np.ones((3, 3, 3), dtype=np.bool_)


@dataclass(frozen=True)
class Cells:
    """A set of cells of a regular grid over a volume.

    Attributes
    ----------
    shape : sequence of int
        Shape of the volume in voxels, (D, H, W).
    side : sequence of int
        Sides of a cell in voxels, (z, y, x). The last cell along an axis ends with the volume.
    mask : NDArray
        bool, one element for each cell, axes (z, y, x): True if the cell is in the set.
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
        """Return the cells that contain a voxel outside all patches.

        Parameters
        ----------
        starts
            First voxel (z, y, x) of each patch. The patches must form a grid: all combinations of some
            starts along z, y and x.
        patch
            Shape of a patch, (d, h, w).
        like
            Cells with the wanted `shape` and `side`.
        """
        covered = []  # for each axis: which cells lie inside a patch as a whole
        for axis, (voxels, one) in enumerate(zip(like.shape, like.side, strict=True)):
            line = np.zeros(voxels, dtype=np.bool_)
            for low in {start[axis] for start in starts}:
                line[max(low, 0) : low + patch[axis]] = True
            covered.append(np.logical_and.reduceat(line, np.arange(0, voxels, one)))
        return replace(like, mask=~reduce(np.logical_and.outer, covered))

    def __or__(self, other: Self) -> Self:
        return replace(self, mask=self.mask | other.mask)

    def __and__(self, other: Self) -> Self:
        return replace(self, mask=self.mask & other.mask)

    def add(self, start: Start, voxels: NDArray[np.bool_]) -> None:
        """Add the cells that contain certain voxels of a box.

        Parameters
        ----------
        start
            First voxel (z, y, x) of the box.
        voxels
            bool (d, h, w), for the voxels of the box: True for the voxels whose cells are added.
        """
        cells = []
        for axis, (low, one) in enumerate(zip(start, self.side, strict=True)):
            first, last = low // one, -(-(low + voxels.shape[axis]) // one)
            begins = (np.arange(first, last) * one - low).clip(min=0)
            voxels = np.logical_or.reduceat(voxels, begins, axis=axis)
            cells.append(slice(first, last))
        self.mask[tuple(cells)] |= voxels

    def dilate(self, margin_mm: float, spacing_mm: Triple) -> Self:
        """Return all cells with a voxel nearer than `margin_mm` to a voxel of the set.

        Parameters
        ----------
        margin_mm
            Distance in mm, 0 or more. Distances between cells are rounded down to whole cells, so that
            the result may contain some cells more.
        spacing_mm
            Voxel spacing in mm, (x, y, z).
        """
        if not self.mask.any():  # the distance to an empty set is not defined
            return self
        side_mm = [one * mm for one, mm in zip(self.side, spacing_mm[::-1], strict=True)]
        # Between cells whose indices differ by k there are k - 1 cells. So distances are measured from
        # the set and its neighbours.
        near = scipy.ndimage.binary_dilation(self.mask, _NEIGHBOURS)
        distance_mm = scipy.ndimage.distance_transform_edt(~near, sampling=side_mm)
        return replace(self, mask=self.mask | (distance_mm < margin_mm))

    def rim(self) -> Self:
        """Return the cells of the set with a neighbour (face, edge or corner) outside the set.

        The end of the volume does not count as outside the set.
        """
        inner = scipy.ndimage.binary_erosion(self.mask, _NEIGHBOURS, border_value=1)
        return replace(self, mask=self.mask & ~inner)

    def voxel_mask(self, part: slice) -> NDArray[np.bool_]:
        """Return which voxels of the slices `part` (z) are in the set, bool (dz, H, W)."""
        z, y, x = (np.arange(n) // one for n, one in zip(self.shape, self.side, strict=True))
        return np.asarray(self.mask[z[part]][:, y][:, :, x])
