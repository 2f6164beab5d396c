"""A check that a NRRD file is complete. Slicer's own reader crashes on a truncated file."""

import math
from collections.abc import Mapping
from pathlib import Path

from slicer.i18n import tr as _

from FedCrossSlicerLib.errors import InferenceError

_BYTES = {
    "int8": 1, "signed char": 1, "uint8": 1, "uchar": 1, "unsigned char": 1,
    "int16": 2, "short": 2, "uint16": 2, "ushort": 2, "unsigned short": 2,
    "int32": 4, "int": 4, "uint32": 4, "uint": 4, "unsigned int": 4,
    "int64": 8, "longlong": 8, "long long int": 8, "uint64": 8, "ulonglong": 8,
    "unsigned long long int": 8, "float": 4, "double": 8,
}  # fmt: skip
_MAX_HEADER_BYTES = 1 << 20


def requireWhole(path: Path) -> None:
    """Compare a file's length with the length that its header states, without reading the voxels.

    A gzip stream ends with the number of bytes that it holds, modulo 2^32; a raw file has that length.

    Parameters
    ----------
    path
        A NRRD file with its voxels in the same file.

    Raises
    ------
    InferenceError
        If the file is missing, is not such a NRRD file, or is truncated.
    """
    try:
        with path.open("rb") as file:
            header = _readHeader(file.read(_MAX_HEADER_BYTES))
            end = file.seek(0, 2)
            if header["encoding"] == "raw":
                found = end - int(header["data starts"])
            elif header["encoding"] in ("gzip", "gz"):
                file.seek(-4, 2)
                found = int.from_bytes(file.read(4), "little")
            else:
                raise ValueError(header["encoding"])
        sizes = [int(size) for size in header["sizes"].split()]
        stated = math.prod(sizes) * _BYTES[header["type"]]
    except OSError as error:
        raise InferenceError(
            _("{name} cannot be read: {why}.").format(name=path.name, why=error.strerror)
        ) from error
    except (ValueError, KeyError) as error:
        raise InferenceError(_("{name} is not a NRRD file.").format(name=path.name)) from error
    if found != (stated if header["encoding"] == "raw" else stated % (1 << 32)):
        raise InferenceError(_("{name} is incomplete. Is the disk full?").format(name=path.name))


def _readHeader(beginning: bytes) -> Mapping[str, str]:
    """The fields of a header, and under ``data starts`` the position of the first voxel in bytes."""
    text, separator, _rest = beginning.partition(b"\n\n")
    if not beginning.startswith(b"NRRD000") or not separator:
        raise ValueError("the file has no NRRD header")
    fields = {"data starts": str(len(text) + len(separator))}
    for line in text.decode("utf-8", errors="replace").splitlines()[1:]:
        name, colon, value = line.partition(": ")
        if colon:
            fields[name] = value.strip()
    return fields
