"""A box in space outside which nothing is segmented.

World coordinates are LPS in mm. The box may be rotated relative to the volume.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fedcross.contract.parse import parse_json
from fedcross.errors import ConfigError, DataError
from fedcross.volumes.grid import Grid

MAX_FILE_BYTES = 100_000
_EDGE = 1e-6  # in voxels; with this tolerance a voxel centre on a face of the box counts as inside
_ORTHONORMAL = 1e-3  # largest deviation of the axes' products from 0 and 1

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Region:
    """A box with its own axes.

    Attributes
    ----------
    center_mm : NDArray
        float64 (3,): centre in world coordinates.
    half_size_mm : NDArray
        float64 (3,): distances from the centre to the faces, along the box's axes.
    axes : NDArray
        float64 (3, 3): the rows are the unit vectors of the box's axes in the world.
    """

    center_mm: NDArray[np.float64]
    half_size_mm: NDArray[np.float64]
    axes: NDArray[np.float64]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a box from a JSON file.

        The file holds ``{"center_mm": [x, y, z], "size_mm": [a, b, c], "axes": [[...], [...], [...]]}``.

        Raises
        ------
        ConfigError
            If the file cannot be read or does not describe a box.
        """
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise ConfigError(f"The region {path.name} is larger than {MAX_FILE_BYTES} bytes.")
            content = parse_json(path.read_text(encoding="utf-8"))
            center, size = (
                _parse_numbers(content["center_mm"], 3),
                _parse_numbers(content["size_mm"], 3),
            )
            axes = _parse_numbers(content["axes"], 3, 3)
        except OSError as error:
            raise ConfigError(
                f"The region {path.name} cannot be read: {error.strerror}."
            ) from error
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise ConfigError(
                f"The region {path.name} must hold center_mm, size_mm (3 numbers each) and axes "
                "(3 x 3)."
            ) from error
        if not (size > 0).all():
            raise ConfigError(f"The region's size_mm must be above 0, got {size.tolist()}.")
        if not np.allclose(axes @ axes.T, np.eye(3), atol=_ORTHONORMAL):
            raise ConfigError(f"The region's axes must be orthonormal, got {axes.tolist()}.")
        return cls(center, size / 2, axes)

    def mask(self, grid: Grid) -> NDArray[np.bool_]:
        """Return which voxel centres of `grid` lie inside the box, bool (z, y, x).

        Raises
        ------
        DataError
            If no voxel centre lies inside.
        """
        mask = np.zeros(grid.shape, dtype=np.bool_)
        box = self.bounds(grid, margin=0)
        to_world = grid.index_to_world
        # The distance from the box's centre along one of its axes is a sum of terms in z, y and x.
        start = self.axes @ (to_world[:3, 3] - self.center_mm)
        steps = self.axes @ to_world[:3, :3]
        z, y, x = (np.arange(part.start, part.stop, dtype=np.float64) for part in box)
        inside = np.ones([part.stop - part.start for part in box], dtype=np.bool_)
        for axis in range(3):
            distance = start[axis] + np.add.outer(
                steps[axis, 2] * z, np.add.outer(steps[axis, 1] * y, steps[axis, 0] * x)
            )
            edge = self.half_size_mm[axis] + _EDGE * min(grid.spacing_mm)
            inside &= np.abs(distance) <= edge
        mask[box] = inside
        if not mask.any():
            raise DataError(
                "The region of interest holds no voxel of the volume.",
                "Move it over the structures to segment.",
            )
        return mask

    def bounds(self, grid: Grid, margin: int) -> Box:
        """Return a part of `grid` that contains all voxel centres inside the box.

        Parameters
        ----------
        grid
            Grid of the volume.
        margin
            Number of voxels added on every side.

        Returns
        -------
        tuple of slice
            Slices (z, y, x) within the grid; empty if the box lies beside the grid.
        """
        signs = np.array(np.meshgrid(*[(-1, 1)] * 3)).reshape(3, -1).T  # the 8 corners
        corners = self.center_mm + (signs * self.half_size_mm) @ self.axes
        to_index = np.linalg.inv(grid.index_to_world)
        indices = corners @ to_index[:3, :3].T + to_index[:3, 3]  # (8, 3): x, y, z
        indices = indices.clip(-(2**31), 2**31)  # beyond any grid, and still exact as integers
        low = np.ceil(indices.min(axis=0) - _EDGE).astype(int) - margin
        high = np.floor(indices.max(axis=0) + _EDGE).astype(int) + margin + 1
        x, y, z = (
            slice(min(max(int(first), 0), side), min(max(int(last), 0), side))
            for first, last, side in zip(low, high, grid.size, strict=True)
        )
        return z, y, x


def _parse_numbers(values: Any, *shape: int) -> NDArray[np.float64]:
    array = np.array(values, dtype=np.float64)
    if array.shape != shape or not all(math.isfinite(value) for value in array.flat):
        raise ValueError(f"expected finite numbers of shape {shape}, got {array.shape}.")
    return array
