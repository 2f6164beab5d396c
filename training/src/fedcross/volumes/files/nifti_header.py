"""The headers of NIfTI-1, NIfTI-2 and Analyze 7.5.

Fields and type codes are those of the standard (https://nifti.nimh.nih.gov). Analyze has NIfTI-1's
fields for sizes and types; the others are not read.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fedcross.errors import DataError

NIFTI1_BYTES, NIFTI2_BYTES = 348, 540

_NIFTI1 = {
    "dim": ("i2", (8,), 40),
    "datatype": ("i2", (), 70),
    "bitpix": ("i2", (), 72),
    "pixdim": ("f4", (8,), 76),
    "vox_offset": ("f4", (), 108),
    "scale": ("f4", (2,), 112),
    "xyzt_units": ("u1", (), 123),
    "codes": ("i2", (2,), 252),
    "quaternion": ("f4", (3,), 256),
    "qoffset": ("f4", (3,), 268),
    "srow": ("f4", (3, 4), 280),
    "magic": ("S4", (), 344),
}
_NIFTI2 = {
    "magic": ("S8", (), 4),
    "datatype": ("i2", (), 12),
    "bitpix": ("i2", (), 14),
    "dim": ("i8", (8,), 16),
    "pixdim": ("f8", (8,), 104),
    "vox_offset": ("i8", (), 168),
    "scale": ("f8", (2,), 176),
    "codes": ("i4", (2,), 344),
    "quaternion": ("f8", (3,), 352),
    "qoffset": ("f8", (3,), 376),
    "srow": ("f8", (3, 4), 400),
    "xyzt_units": ("i4", (), 500),
}
_SCALARS = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
_SEVERAL = {32: 2, 128: 3, 1792: 2, 2048: 2, 2304: 4}  # complex numbers and colours

Kind = Literal["single", "pair", "analyze"]


@dataclass(frozen=True)
class NiftiHeader:
    """The fields that decide voxels and geometry, as the header has them.

    Attributes
    ----------
    kind : str
        ``single`` (voxels in the same file), ``pair`` or ``analyze`` (voxels in a second file).
    length : int
        Length of the header in bytes.
    dtype : numpy.dtype
        Number type of a voxel.
    sizes : tuple of int
        Number of values along every axis, fastest first.
    pixdim : NDArray
        qfac, then the spacing along every axis; float64 (8,).
    offset : float
        Bytes before the voxels.
    scale : tuple of float
        Slope and intercept.
    units : int
        Code of the unit of length.
    qform_code, sform_code : int
        What the two transforms refer to; 0 if they are not there.
    quaternion, qoffset, srow : NDArray
        The transforms: float64 (3,), (3,) and (3, 4).
    """

    kind: Kind
    length: int
    dtype: np.dtype[Any]
    sizes: tuple[int, ...]
    pixdim: NDArray[np.float64]
    offset: float
    scale: tuple[float, float]
    units: int
    qform_code: int
    sform_code: int
    quaternion: NDArray[np.float64]
    qoffset: NDArray[np.float64]
    srow: NDArray[np.float64]


def byte_order(data: bytes) -> str | None:
    """Return ``<`` or ``>`` if the first bytes are those of such a header, and None if not."""
    for order in "<>":
        length = int.from_bytes(data[:4], "little" if order == "<" else "big")
        if length in (NIFTI1_BYTES, NIFTI2_BYTES) and len(data) >= length:
            return order
    return None


def parse_header(data: bytes, name: str) -> NiftiHeader:
    """Parse a header.

    Parameters
    ----------
    data
        The first bytes of the file, for which `byte_order` is not None.
    name
        Name of the file in messages.

    Raises
    ------
    DataError
        If the header has no valid magic, number of axes or number type.
    """
    order = byte_order(data) or "<"
    length = int.from_bytes(data[:4], "little" if order == "<" else "big")
    layout = _NIFTI1 if length == NIFTI1_BYTES else _NIFTI2
    record = np.dtype(
        {
            "names": list(layout),
            "formats": [(f"{order}{kind}", shape) for kind, shape, _ in layout.values()],
            "offsets": [offset for *_, offset in layout.values()],
            "itemsize": length,
        }
    )
    fields = np.frombuffer(data, record, count=1)[0]
    axes = int(fields["dim"][0])
    if not 1 <= axes <= 7:
        raise DataError(f"{name} declares {axes} axes.", "Copy or export it again.")
    slope, intercept = map(float, fields["scale"])
    qform_code, sform_code = map(int, fields["codes"])
    return NiftiHeader(
        kind=_kind(bytes(fields["magic"]), length, name),
        length=length,
        dtype=_number_type(int(fields["datatype"]), int(fields["bitpix"]), order, name),
        sizes=tuple(map(int, fields["dim"][1 : axes + 1])),
        pixdim=_double(fields["pixdim"]),
        offset=float(fields["vox_offset"]),
        scale=(slope, intercept),
        units=int(fields["xyzt_units"]) & 7,
        qform_code=qform_code,
        sform_code=sform_code,
        quaternion=_double(fields["quaternion"]),
        qoffset=_double(fields["qoffset"]),
        srow=_double(fields["srow"]),
    )


def _double(values: NDArray[Any]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):  # some NaN set the processor's flag
        return values.astype(np.float64)


def _kind(magic: bytes, length: int, name: str) -> Kind:
    """`magic` without its null characters at the end."""
    tail = b"" if length == NIFTI1_BYTES else b"\0\r\n\x1a\n"
    version = b"1" if length == NIFTI1_BYTES else b"2"
    if magic == b"n+" + version + tail:
        return "single"
    if magic == b"ni" + version + tail:
        return "pair"
    if not magic and length == NIFTI1_BYTES:
        return "analyze"
    raise DataError(
        f"{name} has the length of a NIfTI header, but not its magic number.",
        "Copy or export it again.",
    )


def _number_type(code: int, bits: int, order: str, name: str) -> np.dtype[Any]:
    if code in _SEVERAL:
        raise DataError(
            f"{name} has {_SEVERAL[code]} values in every voxel (colour, vectors or complex numbers).",
            "Give a volume with one number a voxel.",
        )
    if code not in _SCALARS:
        raise DataError(
            f"{name} has the number type {code}, which is not supported.",
            "Save it with 8 to 64 bits a voxel.",
        )
    dtype = np.dtype(f"{order}{_SCALARS[code]}")
    if bits != 8 * dtype.itemsize:
        raise DataError(
            f"{name} declares {bits} bits a voxel, but its number type has {8 * dtype.itemsize}.",
            "Copy or export it again.",
        )
    return dtype
