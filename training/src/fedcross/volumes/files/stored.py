"""A volume as the header of its file declares it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fedcross.errors import DataError
from fedcross.volumes.files.checks import MAX_VOXELS, check_grid, check_size
from fedcross.volumes.files.encodings import Encoding
from fedcross.volumes.grid import Grid

EXPORT_AGAIN = "Copy or export it again."

# Remarks name no file, because they are stored with results and names of files may be patients' names.
NO_ORIENTATION = (
    "The header does not state the orientation: the axes are taken as left, posterior and superior, so "
    "left and right may be swapped."
)
NO_SPACING = "The header does not state the size of the voxels; 1 mm is taken."
NO_ORIGIN = "The header does not state the origin; (0, 0, 0) is taken."
NO_BYTE_ORDER = "The header does not state the byte order; little-endian is taken."


@dataclass(frozen=True)
class VoxelFile:
    """Where the voxels are.

    Attributes
    ----------
    path : Path
        The file.
    purpose : str
        What it is for, see `fedcross.volumes.files.opening.open_regular`.
    start : int or None
        First encoded byte; None if the voxels are the last bytes of the file.
    encoding : str
        How they are encoded.
    skip : int
        Decoded bytes before the first voxel.
    """

    path: Path
    purpose: str = ""
    start: int | None = 0
    encoding: Encoding = "raw"
    skip: int = 0


@dataclass(frozen=True)
class StoredVolume:
    """One file of a volume, of any format.

    Attributes
    ----------
    name : str
        Name of the file in messages.
    dtype : numpy.dtype
        Number type of a stored voxel, with byte order.
    grid : Grid
        Size and position of one 3D volume.
    volumes : int
        Number of 3D volumes; 1 if the file is 3D.
    faster : int
        Number of axes of the 3D volume that change faster than the volume's index: 3 if the volumes
        lie one after the other, 0 if they change from number to number.
    is_vector : bool
        Whether the volumes are the components of vectors or colours.
    file : VoxelFile
        Where the voxels are.
    scale : tuple of float or None
        (slope, intercept) that turns stored numbers into intensities; None if they are the same.
    remarks : tuple of str
        What a person should know about the header, one sentence each, without the file's name.
    """

    name: str
    dtype: np.dtype[Any]
    grid: Grid
    file: VoxelFile
    volumes: int = 1
    faster: int = 3
    is_vector: bool = False
    scale: tuple[float, float] | None = None
    remarks: tuple[str, ...] = ()

    def check(self) -> None:
        """Check size and geometry.

        Raises
        ------
        DataError
            See `fedcross.volumes.files.checks.check_grid`.
        """
        check_size(self.grid.size, self.name)
        check_grid(self.grid, self.name)


def split_axes(
    name: str, sizes: tuple[int, ...], spatial: tuple[int, ...]
) -> tuple[tuple[int, int, int], int, int]:
    """Find the 3D volumes among the axes of a file.

    Parameters
    ----------
    name
        Name of the file in messages.
    sizes
        Number of values along every axis, fastest first.
    spatial
        Indices of the axes in space, in their order.

    Returns
    -------
    size : tuple of int
        (x, y, z).
    volumes : int
        Number of 3D volumes.
    faster : int
        See `StoredVolume`.

    Raises
    ------
    DataError
        If a size is below 1, there are not three axes in space, or two further axes are longer than 1.
    """
    if min(sizes) < 1 or max(sizes) > MAX_VOXELS:
        shown = " x ".join(map(str, sizes))
        raise DataError(f"{name} declares a size of {shown} voxels.", EXPORT_AGAIN)
    if len(spatial) != 3:
        raise DataError(f"{name} is a {len(spatial)}D image.", "Give a 3D volume.")
    x, y, z = (sizes[axis] for axis in spatial)
    further = [axis for axis in range(len(sizes)) if axis not in spatial and sizes[axis] > 1]
    if not further:
        return (x, y, z), 1, 3
    if len(further) > 1:
        raise DataError(f"{name} is a {3 + len(further)}D image.", "Give a 3D volume.")
    faster = sum(axis < further[0] for axis in spatial)
    return (x, y, z), sizes[further[0]], faster
