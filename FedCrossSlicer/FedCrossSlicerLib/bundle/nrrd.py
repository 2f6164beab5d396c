"""Is a NRRD file whole? Slicer's own reader takes the application down when it is cut off."""

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
_LONGEST_HEADER = 1 << 20


def requireWhole(path: Path) -> None:
    """Compare a file's length with what its header promises, without reading the voxels.

    A gzip stream ends with the length of what it holds (modulo 2^32), a raw one simply is that long.

    Raises
    ------
    InferenceError
        If the file is missing, is not a NRRD with its data attached, or has been cut off.
    """
    try:
        with path.open("rb") as file:
            header = _readHeader(file.read(_LONGEST_HEADER))
            end = file.seek(0, 2)
            if header["encoding"] == "raw":
                found = end - int(header["data starts"])
            elif header["encoding"] in ("gzip", "gz"):
                file.seek(-4, 2)
                found = int.from_bytes(file.read(4), "little")
            else:
                raise ValueError(header["encoding"])
        sizes = [int(size) for size in header["sizes"].split()]
        promised = math.prod(sizes) * _BYTES[header["type"]]
    except OSError as error:
        raise InferenceError(
            _("{name} cannot be read: {why}.").format(name=path.name, why=error.strerror)
        ) from error
    except (ValueError, KeyError) as error:
        raise InferenceError(_("{name} is not a NRRD file.").format(name=path.name)) from error
    if found != (promised if header["encoding"] == "raw" else promised % (1 << 32)):
        raise InferenceError(_("{name} was cut off; is the disk full?").format(name=path.name))


def _readHeader(beginning: bytes) -> Mapping[str, str]:
    """The fields of an attached header, and under ``data starts`` where it ends."""
    text, separator, _rest = beginning.partition(b"\n\n")
    if not beginning.startswith(b"NRRD000") or not separator:
        raise ValueError("no NRRD header")
    fields = {"data starts": str(len(text) + len(separator))}
    for line in text.decode("utf-8", errors="replace").splitlines()[1:]:
        name, colon, value = line.partition(": ")
        if colon:
            fields[name] = value.strip()
    return fields
