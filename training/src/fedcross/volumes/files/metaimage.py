"""Read the headers of MetaImage files (``.mha``, ``.mhd``).

Format: https://itk.org/Wiki/MetaIO/Documentation. The header is a list of ``key = value``; the last
key is ``ElementDataFile``.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fedcross.errors import DataError
from fedcross.volumes.files.opening import data_file_beside, display_name, quoted
from fedcross.volumes.files.stored import (
    NO_BYTE_ORDER,
    NO_ORIENTATION,
    NO_ORIGIN,
    NO_SPACING,
    StoredVolume,
    VoxelFile,
    split_axes,
)
from fedcross.volumes.files.text_header import grid_of_vectors, numbers, whole_numbers
from fedcross.volumes.grid import Grid

_LAST_KEY = re.compile(rb"^[ \t]*ElementDataFile[ \t]*=[^\n]*\n?", re.MULTILINE)
_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_EXPORT_AGAIN = "Correct its header, or export it again."


def is_metaimage(start: bytes) -> bool:
    """Whether the first bytes of a file are those of a MetaImage."""
    return bool(re.search(rb"^[ \t]*NDims[ \t]*=", start, re.MULTILINE)) and bool(
        re.match(rb"\s*[A-Za-z]\w*[ \t]*=", start)
    )


def read_metaimage(path: Path, start: bytes) -> StoredVolume:
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
    end = _LAST_KEY.search(start)
    if end is None:
        raise DataError(f"The header of {name} has no end (ElementDataFile).", _EXPORT_AGAIN)
    fields = _parse(start[: end.end()], name)
    axes = _one(fields, "NDims", name)
    if not 1 <= axes <= 7:
        raise DataError(f"{name} declares {axes} axes.", _EXPORT_AGAIN)
    sizes = whole_numbers(fields.get("DimSize", ""), axes, f"DimSize of {name}")
    components = _one(fields, "ElementNumberOfChannels", name, default=1)
    spatial = tuple(range(1, 1 + min(3, axes)))
    size, volumes, faster = split_axes(name, (components, *sizes), spatial)
    grid, remarks = _locate(fields, axes, size, name)
    _refuse_unsupported(fields, name)
    dtype, order_remarks = _number_type(fields, name)
    return StoredVolume(
        name=name,
        dtype=dtype,
        grid=grid,
        file=_voxel_file(path, fields, end.end(), name),
        volumes=volumes,
        faster=faster,
        is_vector=components > 1,
        remarks=(*remarks, *order_remarks),
    )


def _parse(header: bytes, name: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in header.decode("utf-8", "surrogateescape").splitlines():
        key, sign, value = (part.strip() for part in line.partition("="))
        if not key and not sign:
            continue
        if not sign or not re.fullmatch(r"[\w ./:()\[\]-]+", key):
            raise DataError(
                f"The header of {name} has a line that is not key = value.", _EXPORT_AGAIN
            )
        if key in fields and fields[key] != value:
            raise DataError(f"The header of {name} has two values of {key}.", _EXPORT_AGAIN)
        fields[key] = value
    return fields


def _one(fields: Mapping[str, str], key: str, name: str, default: int | None = None) -> int:
    if key not in fields and default is not None:
        return default
    return whole_numbers(fields.get(key, ""), 1, f"{key} of {name}")[0]


def _flag(fields: Mapping[str, str], key: str, name: str, *, default: bool) -> bool:
    """MetaIO reads T, t and 1 as true."""
    value = fields.get(key, "True" if default else "False").casefold()
    if value in ("true", "t", "1"):
        return True
    if value in ("false", "f", "0"):
        return False
    raise DataError(f"{key} of {name} is neither True nor False.", _EXPORT_AGAIN)


def _refuse_unsupported(fields: Mapping[str, str], name: str) -> None:
    for key, usual in (
        ("ElementToIntensityFunctionSlope", 1.0),
        ("ElementToIntensityFunctionOffset", 0.0),
    ):
        if key in fields and numbers(fields[key], 1, f"{key} of {name}") != (usual,):
            raise DataError(
                f"{name} scales its voxels ({key}), which is not supported.",
                "Save the volume without scaling.",
            )
    unit = fields.get("DistanceUnits", "mm")
    if unit not in ("mm", "?", ""):
        raise DataError(f"{name} has the unit of length {quoted(unit)}, not mm.", _EXPORT_AGAIN)


def _number_type(
    fields: Mapping[str, str], name: str
) -> tuple[np.dtype[np.generic], tuple[str, ...]]:
    kind = fields.get("ElementType", "")
    if kind not in _TYPES:
        raise DataError(
            f"{name} has the number type {quoted(kind)}, which is not supported.",
            "Save it with 8 to 64 bits a voxel.",
        )
    keys = [key for key in ("BinaryDataByteOrderMSB", "ElementByteOrderMSB") if key in fields]
    flags = {_flag(fields, key, name, default=False) for key in keys}
    if len(flags) > 1:
        raise DataError(f"{name} declares two byte orders.", _EXPORT_AGAIN)
    dtype = np.dtype(_TYPES[kind]).newbyteorder(">" if True in flags else "<")
    is_text = not _flag(fields, "BinaryData", name, default=True)
    if flags or is_text or dtype.itemsize == 1:
        return dtype, ()
    return dtype, (NO_BYTE_ORDER,)


def _locate(
    fields: Mapping[str, str], axes: int, size: tuple[int, int, int], name: str
) -> tuple[Grid, tuple[str, ...]]:
    """Return the grid; of more than three axes the first three, which must be independent."""
    remarks = []
    spacing_key = _first(fields, ("ElementSpacing", "ElementSize"))
    matrix_key = _only(fields, ("TransformMatrix", "Rotation", "Orientation"), name)
    origin_key = _only(fields, ("Offset", "Position", "Origin"), name)
    if spacing_key is None:
        remarks.append(NO_SPACING)
    if matrix_key is None:
        remarks.append(NO_ORIENTATION)
    if origin_key is None:
        remarks.append(NO_ORIGIN)
    ones = " ".join(["1"] * axes)
    spacing = np.array(numbers(fields.get(spacing_key or "", ones), axes, f"The spacing of {name}"))
    unit = " ".join(map(str, np.eye(axes).ravel()))
    text = fields.get(matrix_key or "", unit)
    matrix = np.array(numbers(text, axes * axes, f"The axes of {name}")).reshape(axes, axes)
    zeros = " ".join(["0"] * axes)
    origin = numbers(fields.get(origin_key or "", zeros), axes, f"The origin of {name}")
    if np.any(matrix[:3, 3:]) or np.any(matrix[3:, :3]):
        raise DataError(f"{name} mixes space and time in its axes.", _EXPORT_AGAIN)
    vectors = matrix[:3, :3]  # row: an axis of the volume
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(vectors, axis=1)
    if not np.abs(lengths - 1).max() < 0.01:  # also refuses NaN
        raise DataError(f"The axes of {name} do not have the length 1.", _EXPORT_AGAIN)
    return grid_of_vectors(vectors, spacing[:3], origin[:3], size), tuple(remarks)


def _first(fields: Mapping[str, str], keys: tuple[str, ...]) -> str | None:
    return next((key for key in keys if key in fields), None)


def _only(fields: Mapping[str, str], keys: tuple[str, ...], name: str) -> str | None:
    """Return the first of the keys for one property that the header has; refuse two values of it."""
    found = [key for key in keys if key in fields]
    for other in found[1:]:
        if fields[other].split() != fields[found[0]].split():
            raise DataError(f"{found[0]} and {other} of {name} differ.", _EXPORT_AGAIN)
    return found[0] if found else None


def _voxel_file(path: Path, fields: Mapping[str, str], end: int, name: str) -> VoxelFile:
    named = fields["ElementDataFile"]
    is_local = named.upper() == "LOCAL"
    voxels = path if is_local else data_file_beside(path, named)
    purpose = "" if is_local else f", the file of the voxels of {name},"
    start = end if is_local else 0
    skip = _one(fields, "HeaderSize", name, default=0)
    compressed = _flag(fields, "CompressedData", name, default=False)
    if not _flag(fields, "BinaryData", name, default=True):
        if compressed or skip:
            raise DataError(f"{name} has text voxels that are compressed.", _EXPORT_AGAIN)
        return VoxelFile(voxels, purpose, start, "text")
    if compressed:
        if skip > 0:
            raise DataError(f"{name} has a header before compressed voxels.", _EXPORT_AGAIN)
        return VoxelFile(voxels, purpose, start, "zlib")
    if skip < -1:
        raise DataError(f"{name} declares HeaderSize = {skip}.", _EXPORT_AGAIN)
    if skip == -1:
        return VoxelFile(voxels, purpose, None)
    return VoxelFile(voxels, purpose, start + skip)
