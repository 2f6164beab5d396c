"""Is a NIfTI file all there? ITK fills what is missing with zeros without saying so.

Field offsets: the NIfTI-1 and NIfTI-2 headers (https://nifti.nimh.nih.gov).
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

_CHUNK = 1 << 22


def is_complete(path: Path, voxels: int) -> bool:
    """Tell whether a ``.nii`` or ``.nii.gz`` file holds the `voxels` it declares.

    Parameters
    ----------
    path
        Any image; all that is not named ``.nii`` or ``.nii.gz`` counts as complete, since the other
        readers check for themselves.
    voxels
        Their number, from the header.

    Returns
    -------
    bool
        False if data are missing or the compressed stream is damaged.
    """
    name = path.name.lower()
    if not name.endswith((".nii", ".nii.gz")):
        return True
    try:
        with gzip.open(path) if _is_gzip(path) else path.open("rb") as file:
            header = file.read(540)
            length = len(header)
            while chunk := file.read(_CHUNK):
                length += len(chunk)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return False
    offset, bits = _data_offset_and_bits(header)
    return length * 8 >= offset * 8 + voxels * bits


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _data_offset_and_bits(header: bytes) -> tuple[int, int]:
    """Return where the voxels begin (bytes) and how long each is (bits); (0, 0) if not NIfTI."""
    for order in "<>":
        if len(header) < 348:
            break
        (size,) = struct.unpack_from(f"{order}i", header)
        if size == 348:
            (bits,) = struct.unpack_from(f"{order}h", header, 72)
            (offset,) = struct.unpack_from(f"{order}f", header, 108)
            return int(offset) if math.isfinite(offset) else 0, bits
        if size == 540 and len(header) == 540:
            (bits,) = struct.unpack_from(f"{order}h", header, 14)
            (begin,) = struct.unpack_from(f"{order}q", header, 168)
            return begin, bits
    return 0, 0
