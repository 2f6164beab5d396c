"""What ITK's NIfTI reader keeps to itself: it fills missing data, and NaN, with zeros.

Field offsets and type codes: the NIfTI-1 and NIfTI-2 headers (https://nifti.nimh.nih.gov).
"""

import gzip
import io
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_CHUNK = 1 << 22  # bytes; a multiple of every voxel's size
_HEADER = 540
_FLOATS = {16: "f4", 64: "f8"}


@dataclass(frozen=True)
class VoxelCheck:
    """What lies in a file.

    Attributes
    ----------
    complete : bool
        Whether all voxels that it declares are there, and its compression is sound.
    not_finite : int
        Voxels that are NaN or infinite.
    """

    complete: bool
    not_finite: int = 0


@dataclass(frozen=True)
class _Layout:
    """Where the voxels begin (bytes), how long each is (bits), and their numpy type if floating."""

    offset: int
    bits: int
    floating: np.dtype[np.floating] | None


def check_voxels(path: Path, voxels: int) -> VoxelCheck:
    """Look through a ``.nii`` or ``.nii.gz`` file.

    Parameters
    ----------
    path
        Any image. One of another name counts as complete and finite: the other readers tell.
    voxels
        Their number, from the header.
    """
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        return VoxelCheck(complete=True)
    with path.open("rb") as raw:
        compressed = raw.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if compressed else path.open("rb") as file:
            layout = _layout(file.read(_HEADER))
            file.seek(layout.offset)
            return _look_through(file, layout, voxels)
    # The errors of a file, of its compression, and of a place that no file has.
    except (OSError, EOFError, zlib.error, OverflowError, ValueError):
        return VoxelCheck(complete=False)


def _look_through(
    file: gzip.GzipFile | io.BufferedReader, layout: _Layout, voxels: int
) -> VoxelCheck:
    """Read all, also what follows the voxels: the compression's checksum stands at the end."""
    wanted = voxels * layout.bits // 8
    length = not_finite = 0
    while chunk := file.read(_CHUNK):
        ours = chunk[: max(0, wanted - length)]
        length += len(chunk)
        if layout.floating is not None:
            whole = len(ours) // layout.floating.itemsize
            values = np.frombuffer(ours, layout.floating, count=whole)
            not_finite += int(np.count_nonzero(~np.isfinite(values)))
    return VoxelCheck(length >= wanted, not_finite)


def _layout(header: bytes) -> _Layout:
    for order in "<>":
        if len(header) < 348:
            break
        (size,) = struct.unpack_from(f"{order}i", header)
        if size == 348:
            kind, bits = struct.unpack_from(f"{order}hh", header, 70)
            (begin,) = struct.unpack_from(f"{order}f", header, 108)
            offset = int(begin) if math.isfinite(begin) and begin > 0 else 0
        elif size == 540 and len(header) == 540:
            kind, bits = struct.unpack_from(f"{order}hh", header, 12)
            (offset,) = struct.unpack_from(f"{order}q", header, 168)
        else:
            continue
        floating = np.dtype(order + _FLOATS[kind]) if kind in _FLOATS else None
        return _Layout(max(0, offset), bits, floating)
    return _Layout(0, 0, None)
