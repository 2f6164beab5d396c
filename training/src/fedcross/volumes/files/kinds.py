"""What kind of file a volume is, by its first bytes; the suffix does not count."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fedcross.errors import DataError
from fedcross.volumes.files.checks import FORMATS
from fedcross.volumes.files.metaimage import is_metaimage, read_metaimage
from fedcross.volumes.files.nifti import header_of_pair, read_nifti
from fedcross.volumes.files.nifti_header import NIFTI2_BYTES, byte_order
from fedcross.volumes.files.nrrd_header import MAGIC, read_nrrd
from fedcross.volumes.files.opening import display_name, open_regular
from fedcross.volumes.files.stored import StoredVolume

MAX_HEADER = 1 << 18
"""Bytes of a file that are searched for its header; a header of NRRD may hold a long table."""

_GZIP = b"\x1f\x8b"
_OTHERS = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"BM": "a BMP picture",
    b"II*\0": "a TIFF picture",
    b"MM\0*": "a TIFF picture",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a zip archive",
    b"\x89HDF": "an HDF5 file",
    b"CDF": "a MINC file",
    b"# vtk": "a VTK file",
    b"\x93NUMPY": "a NumPy array",
}
_DICOM_GROUPS = (b"\x02\x00", b"\x08\x00")


@dataclass(frozen=True)
class _Start:
    data: bytes
    gzipped: bool


def read_header(path: Path) -> StoredVolume | None:
    """Read the header of a file of one or several volumes.

    Parameters
    ----------
    path
        A file; of a pair, either of them.

    Returns
    -------
    StoredVolume or None
        Checked for its size and geometry. None if the file is DICOM.

    Raises
    ------
    DataError
        If the file cannot be opened, is of another format, or its header cannot be used.
    """
    stored = _read_header(path)
    if stored is not None:
        stored.check()
    return stored


def _read_header(path: Path) -> StoredVolume | None:
    start = _read_start(path)
    data = start.data
    if byte_order(data) is not None:
        return read_nifti(path, data, gzipped=start.gzipped)
    if not start.gzipped:
        readers: tuple[tuple[bool, Callable[[Path, bytes], StoredVolume]], ...] = (
            (data.startswith(MAGIC), read_nrrd),
            (is_metaimage(data), read_metaimage),
        )
        for is_kind, read in readers:
            if is_kind:
                return read(path, data)
        if _is_dicom(data):
            return None
    header = header_of_pair(path)
    if header is not None:
        return _read_header(header)
    kind = next((what for magic, what in _OTHERS.items() if data.startswith(magic)), None)
    name = display_name(path)
    if kind is not None:
        raise DataError(f"{name} is {kind}, not a volume.", FORMATS)
    raise DataError(f"{name} is not an image that can be read.", FORMATS)


def _read_start(path: Path) -> _Start:
    with open_regular(path) as file:
        try:
            data = file.read(MAX_HEADER)
        except OSError as error:
            raise DataError(f"{display_name(path)} cannot be read: {error.strerror}.") from error
    if not data.startswith(_GZIP):
        return _Start(data, gzipped=False)
    try:
        expanded = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data, NIFTI2_BYTES)
    except zlib.error as error:
        name = display_name(path)
        raise DataError(f"{name} is damaged or cut short.", "Copy or export it again.") from error
    return _Start(expanded, gzipped=True)


def _is_dicom(data: bytes) -> bool:
    """Whether a file has DICOM's preamble, or begins with a group that begins data sets without it."""
    return data[128:132] == b"DICM" or (data[:2] in _DICOM_GROUPS and data[3:4] == b"\0")
