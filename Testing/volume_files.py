"""Small valid files of every format that is read, with the voxels that they hold."""

import bz2
import gzip
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

VOXELS: NDArray[np.int16] = (
    np.random.default_rng(0).integers(-1000, 3000, (3, 4, 5)).astype(np.int16)
)
"""(z, y, x)."""

NRRD_HEADER = """NRRD0004
# a comment
type: short
dimension: 3
space: left-posterior-superior
sizes: 5 4 3
space directions: (0.5,0,0) (0,0.75,0) (0,0,2)
kinds: domain domain domain
endian: little
encoding: {encoding}
space origin: (1,2,3)
"""
META_HEADER = """ObjectType = Image
NDims = 3
BinaryData = {binary}
BinaryDataByteOrderMSB = False
CompressedData = {compressed}
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = 1 2 3
ElementSpacing = 0.5 0.75 2
DimSize = 5 4 3
ElementType = MET_SHORT
ElementDataFile = {file}
"""


def raw(array: NDArray[Any] = VOXELS) -> bytes:
    """The voxels in the order of the files, little-endian."""
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def text(array: NDArray[Any] = VOXELS) -> bytes:
    """The voxels as decimal numbers, four in a line."""
    words = [str(value) for value in array.ravel().tolist()]
    return "\n".join(" ".join(words[n : n + 4]) for n in range(0, len(words), 4)).encode() + b"\n"


def nifti(
    array: NDArray[Any] = VOXELS,
    affine: NDArray[np.float64] | None = None,
    *,
    version: int = 1,
    codes: tuple[int, int] = (1, 1),
) -> bytes:
    """A NIfTI file; `array` is (z, y, x) and may have further axes in front."""
    kind = nib.Nifti1Image if version == 1 else nib.Nifti2Image
    matrix = np.diag([-0.5, -0.75, 2, 1.0]) if affine is None else affine
    image = kind(array.T, matrix, dtype=array.dtype)
    image.header.set_qform(matrix, code=codes[0])
    image.header.set_sform(matrix, code=codes[1])
    return bytes(image.to_bytes())


def patched(data: bytes, offset: int, format_: str, *values: float) -> bytes:
    """The bytes with a field of another value."""
    changed = bytearray(data)
    struct.pack_into(format_, changed, offset, *values)
    return bytes(changed)


def nrrd(encoding: str = "raw", **fields: str) -> bytes:
    """An NRRD file; `fields` replace lines of the header, an underscore is a space; "" removes one."""
    header = NRRD_HEADER.format(encoding=encoding)
    for field, value in fields.items():
        name = field.replace("_", " ")
        kept = [line for line in header.splitlines() if not line.startswith(f"{name}:")]
        header = "\n".join([*kept, *([f"{name}: {value}"] if value else []), ""])
    encode: dict[str, Callable[[bytes], bytes]] = {
        "raw": bytes,
        "gzip": lambda data: gzip.compress(data, mtime=0),
        "bzip2": bz2.compress,
        "hex": lambda data: data.hex().encode(),
        "ascii": lambda data: text(np.frombuffer(data, "<i2")),
    }
    return header.encode() + b"\n" + encode[encoding](raw())


def metaimage(kind: str = "raw", file: str = "LOCAL", **fields: str) -> bytes:
    """A MetaImage file; `fields` replace lines of the header; "" removes one."""
    header = META_HEADER.format(binary=kind != "text", compressed=kind == "zlib", file=file)
    lines = header.splitlines()
    for field, value in fields.items():
        lines = [line for line in lines if not line.startswith(f"{field} ")]
        if value:
            lines.insert(1, f"{field} = {value}")
    encode = {"raw": raw, "zlib": lambda: zlib.compress(raw()), "text": text}
    body = encode[kind]() if file == "LOCAL" else b""
    if kind == "zlib":  # ITK needs it
        lines.insert(1, f"CompressedDataSize = {len(body)}")
    return ("\n".join(lines) + "\n").encode() + body


PARTNERS = {"pair.hdr": "pair.img", "detached.nhdr": "detached.raw", "beside.mhd": "beside.raw"}
"""Header to its file of voxels."""


@cache
def contents() -> dict[str, bytes]:
    """`VOXELS` in every format: name to bytes."""
    single = nifti()
    pair = patched(single[:348], 108, "<f", 0.0)[:344] + b"ni1\0"
    return {
        "a.nii": single,
        "a.nii.gz": gzip.compress(single, mtime=0),
        "two.nii": nifti(version=2),
        "pair.hdr": pair,
        "pair.img": raw(),
        "a.nrrd": nrrd(),
        "gz.nrrd": nrrd("gzip"),
        "bz.nrrd": nrrd("bzip2"),
        "hex.nrrd": nrrd("hex"),
        "text.nrrd": nrrd("ascii"),
        "detached.nhdr": nrrd(data_file="detached.raw").partition(b"\n\n")[0] + b"\n",
        "detached.raw": raw(),
        "a.mha": metaimage(),
        "z.mha": metaimage("zlib"),
        "text.mha": metaimage("text"),
        "beside.mhd": metaimage(file="beside.raw"),
        "beside.raw": raw(),
    }


def voxels_in(name: str) -> bytes:
    """The bytes of the voxels at the end of one of the `contents`, if they are not compressed."""
    if name.startswith("hex"):
        return raw().hex().encode()
    return text() if name.startswith("text") else raw()


def write_all(folder: Path) -> dict[str, tuple[str, ...]]:
    """Write all `contents`; return for each file to read the files that belong to it."""
    for name, data in contents().items():
        (folder / name).write_bytes(data)
    return {
        name: (name, PARTNERS[name]) if name in PARTNERS else (name,)
        for name in contents()
        if name not in PARTNERS.values()
    }
