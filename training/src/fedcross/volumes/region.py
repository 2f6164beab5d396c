"""A box in the world to which a segmentation is confined.

World coordinates are LPS in mm; the box may be turned against the volume.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fedcross.errors import ConfigError, DataError
from fedcross.volumes.grid import Grid

MAX_FILE_BYTES = 100_000
_EDGE = 1e-6  # voxels: a voxel centre on the box's face is inside whatever rounding did to it
_ORTHONORMAL = 1e-3

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Region:
    """A box with its own axes.

    Attributes
    ----------
    center_mm : NDArray
        (3,).
    half_size_mm : NDArray
        (3,): from the centre to the faces, along the box's axes.
    axes : NDArray
        (3, 3): its rows are the unit vectors of the box's axes.
    """

    center_mm: NDArray[np.float64]
    half_size_mm: NDArray[np.float64]
    axes: NDArray[np.float64]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read ``{"center_mm": [x, y, z], "size_mm": [a, b, c], "axes": [[...], [...], [...]]}``.

        Raises
        ------
        ConfigError
            If it cannot be read, or does not describe a box.
        """
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise ConfigError(f"The region {path.name} is larger than {MAX_FILE_BYTES} bytes.")
            content = json.loads(path.read_text(encoding="utf-8"))
            center, size = _numbers(content["center_mm"], 3), _numbers(content["size_mm"], 3)
            axes = _numbers(content["axes"], 3, 3)
        except OSError as error:
            raise ConfigError(
                f"The region {path.name} cannot be read: {error.strerror}."
            ) from error
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
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
        """Return which voxel centres of `grid` lie inside, (z, y, x).

        Raises
        ------
        DataError
            If none does.
        """
        mask = np.zeros(grid.shape, dtype=np.bool_)
        box = self.bounds(grid, margin=0)
        to_world = grid.index_to_world
        # Distances from the box's centre along its axes, as sums of one term for each index.
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
                "Move it over what is to be segmented.",
            )
        return mask

    def bounds(self, grid: Grid, margin: int) -> Box:
        """Return the voxels of `grid` among which all inside the box are, as slices (z, y, x).

        Parameters
        ----------
        grid
            Any grid.
        margin
            Voxels added on every side; the slices stay within the grid and may be empty.
        """
        signs = np.array(np.meshgrid(*[(-1, 1)] * 3)).reshape(3, -1).T  # the 8 corners
        corners = self.center_mm + (signs * self.half_size_mm) @ self.axes
        to_index = np.linalg.inv(grid.index_to_world)
        indices = corners @ to_index[:3, :3].T + to_index[:3, 3]  # (8, 3): x, y, z
        indices = indices.clip(-(2**31), 2**31)  # far beyond any grid, and yet integers
        low = np.ceil(indices.min(axis=0) - _EDGE).astype(int) - margin
        high = np.floor(indices.max(axis=0) + _EDGE).astype(int) + margin + 1
        x, y, z = (
            slice(min(max(int(first), 0), side), min(max(int(last), 0), side))
            for first, last, side in zip(low, high, grid.size, strict=True)
        )
        return z, y, x


def _numbers(values: Any, *shape: int) -> NDArray[np.float64]:
    array = np.array(values, dtype=np.float64)
    if array.shape != shape or not all(math.isfinite(value) for value in array.flat):
        raise ValueError(f"{shape} finite numbers expected")
    return array
