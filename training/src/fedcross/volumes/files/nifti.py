"""Find missing and non-finite voxels of NIfTI files, which ITK's reader replaces by zeros silently.

Field offsets and type codes are those of the NIfTI-1 and NIfTI-2 headers
(https://nifti.nimh.nih.gov).
"""

import gzip
import io
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_CHUNK = 1 << 22  # bytes; a multiple of the size of a float voxel
_HEADER = 540  # bytes of the longer header, NIfTI-2
_FLOATS = {16: "f4", 64: "f8"}  # NIfTI type code to NumPy type


@dataclass(frozen=True)
class VoxelCheck:
    """Result of checking the voxels of a file.

    Attributes
    ----------
    complete : bool
        True if the file holds all the voxels that its header declares and its compression is valid.
    not_finite : int
        Number of voxels that are NaN or infinite.
    """

    complete: bool
    not_finite: int = 0


@dataclass(frozen=True)
class _Layout:
    """Offset of the voxels in bytes, size of a voxel in bits, and NumPy type of floating voxels."""

    offset: int
    bits: int
    floating: np.dtype[np.floating] | None


def check_voxels(path: Path, voxels: int) -> VoxelCheck:
    """Check the voxels of a ``.nii`` or ``.nii.gz`` file.

    Parameters
    ----------
    path
        File to check. A file with another suffix counts as complete and finite, because ITK's other
        readers report such errors themselves.
    voxels
        Number of voxels according to the header.

    Returns
    -------
    VoxelCheck
        ``complete`` is False also if the file cannot be read.
    """
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        return VoxelCheck(complete=True)
    with path.open("rb") as raw:
        compressed = raw.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if compressed else path.open("rb") as file:
            layout = _parse_header(file.read(_HEADER))
            file.seek(layout.offset)
            return _scan(file, layout, voxels)
    # Errors of the file, of its compression, and of an offset beyond any file.
    except (OSError, EOFError, zlib.error, OverflowError, ValueError):
        return VoxelCheck(complete=False)


def _scan(file: gzip.GzipFile | io.BufferedReader, layout: _Layout, voxels: int) -> VoxelCheck:
    """Read the file to its end, because gzip's checksum follows the voxels."""
    expected = voxels * layout.bits // 8  # bytes
    length = not_finite = 0
    while chunk := file.read(_CHUNK):
        data = chunk[: max(0, expected - length)]
        length += len(chunk)
        if layout.floating is not None:
            count = len(data) // layout.floating.itemsize
            values = np.frombuffer(data, layout.floating, count=count)
            not_finite += int(np.count_nonzero(~np.isfinite(values)))
    return VoxelCheck(length >= expected, not_finite)


def _parse_header(header: bytes) -> _Layout:
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
