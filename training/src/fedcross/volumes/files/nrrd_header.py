"""Read the headers of NRRD files (``.nrrd``, ``.nhdr``).

Format: https://teem.sourceforge.net/nrrd/format.html. A header is a magic line, then ``field: value``,
``key:=value`` or a comment in every line, and an empty line before attached voxels.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from fedcross.errors import DataError
from fedcross.volumes.files.encodings import Encoding
from fedcross.volumes.files.nrrd_geometry import locate, parse_vectors, spatial_axes
from fedcross.volumes.files.opening import data_file_beside, display_name, open_regular, quoted
from fedcross.volumes.files.stored import StoredVolume, VoxelFile, split_axes
from fedcross.volumes.files.text_header import whole_numbers

MAGIC = b"NRRD000"
_Choice = TypeVar("_Choice")
_EXPORT_AGAIN = "Correct its header, or export it again."
_TYPES = {
    "i1": "signed char,int8,int8_t",
    "u1": "uchar,unsigned char,uint8,uint8_t",
    "i2": "short,short int,signed short,signed short int,int16,int16_t",
    "u2": "ushort,unsigned short,unsigned short int,uint16,uint16_t",
    "i4": "int,signed int,int32,int32_t",
    "u4": "uint,unsigned int,uint32,uint32_t",
    "i8": "longlong,long long,long long int,signed long long,signed long long int,int64,int64_t",
    "u8": "ulonglong,unsigned long long,unsigned long long int,uint64,uint64_t",
    "f4": "float",
    "f8": "double",
}
_TYPE_OF = {alias: kind for kind, names in _TYPES.items() for alias in names.split(",")}
_ENCODINGS: Mapping[str, Encoding] = {
    "raw": "raw",
    "txt": "text",
    "text": "text",
    "ascii": "text",
    "hex": "hex",
    "gz": "gzip",
    "gzip": "gzip",
    "bz2": "bzip2",
    "bzip2": "bzip2",
}
_FIELDS = re.compile(
    "type|dimension|sizes|encoding|endian|content|min|max|oldmin|oldmax|datafile|lineskip|byteskip|"
    "number|blocksize|sampleunits|space|spacedimension|spaceunits|spaceorigin|spacedirections|"
    "measurementframe|spacings|thicknesses|axismins|axismaxs|centers|centerings|labels|units|kinds"
)
_VALUES_IN_TIME = ("list", "time", "domain", "space", "none", "???")


def read_nrrd(path: Path, start: bytes) -> StoredVolume:
    """Read a header.

    Parameters
    ----------
    path
        The file.
    start
        Its first bytes, more than the longest header.

    Raises
    ------
    DataError
        If the header cannot be used, or the voxels are in another folder or in several files.
    """
    name = display_name(path)
    fields, end = _parse(start, name)
    axes = whole_numbers(fields.get("dimension", ""), 1, f"The dimension of {name}")[0]
    if not 1 <= axes <= 7:
        raise DataError(f"{name} declares {axes} axes.", _EXPORT_AGAIN)
    sizes = whole_numbers(fields.get("sizes", ""), axes, f"The sizes of {name}")
    kinds = fields.get("kinds", " ".join(["???"] * axes)).split()
    if len(kinds) != axes:
        raise DataError(f"{name} has {axes} axes, but {len(kinds)} kinds.", _EXPORT_AGAIN)
    vectors = (
        parse_vectors(fields["spacedirections"], name) if "spacedirections" in fields else None
    )
    spatial = spatial_axes(axes, vectors, kinds, name)
    size, volumes, faster = split_axes(name, sizes, spatial)
    grid, remarks = locate(fields, axes, vectors, spatial, size, name)
    further = [kind for axis, kind in enumerate(kinds) if axis not in spatial and sizes[axis] > 1]
    encoding = _choose(fields, "encoding", _ENCODINGS, name)
    dtype = _number_type(fields, encoding, name)
    return StoredVolume(
        name=name,
        dtype=dtype,
        grid=grid,
        file=_voxel_file(path, fields, encoding, end, name),
        volumes=volumes,
        faster=faster,
        is_vector=any(kind.lower() not in _VALUES_IN_TIME for kind in further),
        remarks=remarks,
    )


def _parse(start: bytes, name: str) -> tuple[dict[str, str], int | None]:
    """Return the fields, and the byte after the header's empty line (None if there is no such line)."""
    end = re.search(rb"\r?\n\r?\n", start)
    text = start[: end.start()] if end else start
    fields: dict[str, str] = {}
    for line in text.decode("utf-8", "surrogateescape").splitlines()[1:]:
        if line.startswith("#") or not line.strip():
            continue
        named = re.fullmatch(r"([\w -]+):(?: (.*))?", line.rstrip())
        if named is None:
            if ":=" in line:
                continue
            raise DataError(f"The header of {name} has a line without field.", _EXPORT_AGAIN)
        field = named[1].lower().replace(" ", "")
        if not _FIELDS.fullmatch(field):
            raise DataError(
                f"The header of {name} has the unknown field {quoted(named[1])}.", _EXPORT_AGAIN
            )
        if field in fields:
            raise DataError(f"The header of {name} has the field {named[1]} twice.", _EXPORT_AGAIN)
        fields[field] = (named[2] or "").strip()
    return fields, end.end() if end else None


def _choose(
    fields: Mapping[str, str], field: str, known: Mapping[str, _Choice], name: str
) -> _Choice:
    value = fields.get(field, "").lower()
    if value not in known:
        raise DataError(
            f"{name} has the {field} {quoted(value)}, which is not supported.", _EXPORT_AGAIN
        )
    return known[value]


def _number_type(fields: Mapping[str, str], encoding: Encoding, name: str) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(_choose(fields, "type", _TYPE_OF, name))
    if encoding == "text" or dtype.itemsize == 1:
        return dtype
    orders: dict[str, Literal["<", ">"]] = {"little": "<", "big": ">"}
    return dtype.newbyteorder(_choose(fields, "endian", orders, name))


def _voxel_file(
    path: Path, fields: Mapping[str, str], encoding: Encoding, end: int | None, name: str
) -> VoxelFile:
    lines = whole_numbers(fields.get("lineskip", "0"), 1, f"The line skip of {name}")[0]
    skip = whole_numbers(fields.get("byteskip", "0"), 1, f"The byte skip of {name}")[0]
    if lines < 0 or skip < -1 or (skip == -1 and encoding != "raw"):
        raise DataError(f"{name} skips {lines} lines and {skip} bytes.", _EXPORT_AGAIN)
    if "datafile" in fields:
        voxels = data_file_beside(path, fields["datafile"])
        purpose, begin = f", the file of the voxels of {name},", 0
    elif end is not None:
        voxels, purpose, begin = path, "", end
    else:
        raise DataError(f"{name} is damaged or cut short: its header has no end.", _EXPORT_AGAIN)
    if skip == -1:
        return VoxelFile(voxels, purpose, None)
    begin += _length_of_lines(voxels, purpose, begin, lines, name)
    return VoxelFile(voxels, purpose, begin, encoding, skip)


def _length_of_lines(path: Path, purpose: str, begin: int, lines: int, name: str) -> int:
    if not lines:
        return 0
    with open_regular(path, purpose) as file:
        file.seek(begin)
        start = file.read(1 << 17)
    parts = start.split(b"\n", lines)
    if len(parts) <= lines:
        raise DataError(f"{name} skips {lines} lines, which are not there.", _EXPORT_AGAIN)
    return len(start) - len(parts[-1])
