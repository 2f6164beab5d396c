"""Positions of voxels in space, and arrays in another order of axes (permutation and flips).

Triples are (x, y, z). World coordinates are LPS in mm. Arrays are (z, y, x).
"""

from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

Triple = tuple[float, float, float]
_TINY = 1e-200  # a cosine that is 0
_Voxel = TypeVar("_Voxel", bound=np.generic)


@dataclass(frozen=True)
class Grid:
    """A regular grid of voxel centres.

    Attributes
    ----------
    size : tuple of int
        Number of voxels along (x, y, z).
    spacing_mm : tuple of float
        Distance between voxel centres along (x, y, z).
    origin_mm : tuple of float
        World coordinates of the centre of voxel (0, 0, 0).
    direction : tuple of float
        Row-major 3 x 3 matrix. Its columns are the unit vectors of the axes x, y, z in the world.
    """

    size: tuple[int, int, int]
    spacing_mm: Triple
    origin_mm: Triple
    direction: tuple[float, ...]

    @classmethod
    def of(cls, image: sitk.Image) -> Self:
        """Return the grid of a SimpleITK image."""
        return cls(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an array on this grid, (z, y, x)."""
        return self.size[2], self.size[1], self.size[0]

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return self.size[0] * self.size[1] * self.size[2]

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel in mm^3."""
        return self.spacing_mm[0] * self.spacing_mm[1] * self.spacing_mm[2]

    @property
    def axes(self) -> NDArray[np.float64]:
        """`direction` as a (3, 3) matrix."""
        return np.array(self.direction, dtype=np.float64).reshape(3, 3)

    @property
    def index_to_world(self) -> NDArray[np.float64]:
        """The (4, 4) matrix from voxel index (x, y, z, 1) to LPS mm."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.axes * np.array(self.spacing_mm)
        matrix[:3, 3] = self.origin_mm
        return matrix

    def image(self, array: NDArray[Any]) -> sitk.Image:
        """Return `array` (z, y, x) as a SimpleITK image on this grid."""
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(self.spacing_mm)
        image.SetOrigin(self.origin_mm)
        # ITK prints a complaint if a product of such numbers has less than the full precision.
        image.SetDirection([x if abs(x) > _TINY else 0.0 for x in self.direction])
        return image

    def with_spacing(self, spacing_mm: Triple) -> "Grid":
        """Return the grid that covers the same box with another spacing (x, y, z) in mm.

        Every side has ``max(1, round(size * spacing / new spacing))`` voxels. Both grids have the same
        centre, so a flipped volume is sampled at the same positions.
        """
        size = tuple(
            max(1, round(count * old / new))
            for count, old, new in zip(self.size, self.spacing_mm, spacing_mm, strict=True)
        )
        # Distances in mm from the centre of the first voxel to the centre of the box.
        old_half = (np.array(self.size) - 1) / 2 * np.array(self.spacing_mm)
        new_half = (np.array(size) - 1) / 2 * np.array(spacing_mm)
        origin = np.array(self.origin_mm) + self.axes @ (old_half - new_half)
        x, y, z = (float(value) for value in origin)
        return Grid((size[0], size[1], size[2]), spacing_mm, (x, y, z), self.direction)


def find_difference(
    one: Grid, other: Grid
) -> tuple[str, tuple[float, ...], tuple[float, ...]] | None:
    """Return the first difference of two grids that is larger than rounding in headers.

    The tolerance is 0.001 for the direction cosines; of the smallest spacing of `one` it is 0.001 for
    the spacing and 0.1 for the origin.

    Returns
    -------
    tuple or None
        The attribute ("size", "spacing", "direction" or "origin") and its values in both grids; None if
        the grids are equal within the tolerance.
    """
    if one.size != other.size:
        return "size", one.size, other.size
    smallest = min(one.spacing_mm)
    for what, ours, theirs, tolerance in (
        ("spacing", one.spacing_mm, other.spacing_mm, 1e-3 * smallest),
        ("direction", one.direction, other.direction, 1e-3),
        ("origin", one.origin_mm, other.origin_mm, 0.1 * smallest),
    ):
        if np.abs(np.subtract(ours, theirs)).max() > tolerance:
            return what, ours, theirs
    return None


def restore_order(array: NDArray[Any], current: Grid, wanted: Grid) -> NDArray[Any]:
    """Return a copy of `array` in the order of axes of another grid over the same voxels.

    Parameters
    ----------
    array
        Values on `current`, (z, y, x).
    current, wanted
        Grids whose axes differ by a permutation and flips only.

    Returns
    -------
    NDArray
        The same values on `wanted`, (z, y, x), C-contiguous.
    """
    return np.ascontiguousarray(reorder_view(array, current, wanted))


def reorder_view(array: NDArray[_Voxel], current: Grid, wanted: Grid) -> NDArray[_Voxel]:
    """Return `array` as `restore_order` does, but as a view: writing to it changes `array`."""
    # Rows are axes of `current`, columns are axes of `wanted`; entries are -1, 0 or 1.
    relation = np.rint(current.axes.T @ wanted.axes).astype(int)
    source_axis = np.abs(relation).argmax(axis=0)  # axis of `current` for each of x, y, z
    order = [2 - int(source_axis[2 - axis]) for axis in range(3)]  # array axes run (z, y, x)
    flipped = tuple(axis for axis in range(3) if relation[:, 2 - axis].sum() < 0)
    return np.flip(array.transpose(order), flipped)
