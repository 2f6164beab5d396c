"""Decode the voxels of a file in chunks: raw, gzip, zlib, bzip2, hexadecimal or text.

Compressed data is read to its end, so that its checksum is verified. A chunk has at most `CHUNK` bytes,
whatever the data expands to.
"""

import bz2
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Literal, Protocol

import numpy as np

Encoding = Literal["raw", "gzip", "zlib", "bzip2", "hex", "text"]

CHUNK = 1 << 20
"""Largest number of decoded bytes in memory at a time, apart from the voxels themselves."""

_DEFLATE_RATIO = 1032
"""Largest ratio of deflate (https://www.zlib.net/zlib_tech.html)."""

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class DamagedError(Exception):
    """The data ends too early, has a wrong checksum, or is not of its encoding."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def expand(self, data: bytes) -> bytes: ...
    def pending(self) -> bytes | None: ...


def decode(file: BinaryIO, encoding: Encoding, dtype: np.dtype[Any]) -> Iterator[bytes]:
    """Yield the bytes of the voxels from the file's position to its end.

    Parameters
    ----------
    file
        At the first encoded byte.
    encoding
        How the voxels are encoded; ``zlib`` data may also have the frame of gzip.
    dtype
        Number type of a voxel, with byte order. Text is converted to it.

    Raises
    ------
    DamagedError
        While the chunks are read.
    """
    if encoding in ("gzip", "zlib"):
        return _decompress(file, _Inflate)
    if encoding == "bzip2":
        return _decompress(file, _Bunzip)
    if encoding == "hex":
        return _decode_hex(file)
    if encoding == "text":
        return _decode_text(file, dtype)
    return iter(lambda: file.read(CHUNK), b"")


def most_bytes(length: int, encoding: Encoding, dtype: np.dtype[Any]) -> float:
    """Return the largest number of bytes that `length` encoded bytes can become."""
    if encoding in ("gzip", "zlib"):
        return _DEFLATE_RATIO * length
    if encoding == "bzip2":
        return float("inf")
    if encoding == "hex":
        return length // 2
    if encoding == "text":  # a digit and a separator
        return (length + 1) // 2 * dtype.itemsize
    return length


class _Stream:
    """One compressed stream, expanded in pieces of at most `CHUNK` bytes."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    @property
    def eof(self) -> bool:
        return bool(self._engine.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._engine.unused_data)

    def expand(self, data: bytes) -> bytes:
        return bytes(self._engine.decompress(data, CHUNK))


class _Inflate(_Stream):
    def __init__(self) -> None:
        super().__init__(zlib.decompressobj(_GZIP_OR_ZLIB))

    def pending(self) -> bytes | None:
        return self._engine.unconsumed_tail or None


class _Bunzip(_Stream):
    def __init__(self) -> None:
        super().__init__(bz2.BZ2Decompressor())

    def pending(self) -> bytes | None:
        return None if self._engine.needs_input or self._engine.eof else b""


def _decompress(file: BinaryIO, begin: Callable[[], _Decompressor]) -> Iterator[bytes]:
    """Yield the contents of one or several compressed streams; zeros may follow the last."""
    engine: _Decompressor | None = begin()
    data = file.read(CHUNK)
    while data:
        if engine is None:
            data = data.lstrip(b"\0")
            engine = begin() if data else None
        if engine is not None:
            left: bytes | None = data
            while left is not None:
                try:
                    expanded = engine.expand(left)
                except (zlib.error, OSError, ValueError) as error:
                    raise DamagedError from error
                if expanded:
                    yield expanded
                left = engine.pending()
                if left is None and len(expanded) == CHUNK and not engine.eof:
                    left = b""  # the output was full, so there may be more
            if engine.eof:
                data, engine = engine.unused_data, None
                if data:
                    continue
        data = file.read(CHUNK)
    if engine is not None:
        raise DamagedError


def _decode_hex(file: BinaryIO) -> Iterator[bytes]:
    left = b""
    while data := file.read(CHUNK):
        digits = left + bytes(data).translate(None, b" \t\r\n\v\f")
        even = len(digits) // 2 * 2
        left = digits[even:]
        try:
            yield bytes.fromhex(digits[:even].decode("ascii"))
        except ValueError as error:
            raise DamagedError from error
    if left:
        raise DamagedError


def _decode_text(file: BinaryIO, dtype: np.dtype[Any]) -> Iterator[bytes]:
    left = b""
    while data := file.read(CHUNK):
        if b"_" in data:  # Python's numbers may have underscores
            raise DamagedError
        *words, left = re.split(rb"[\s,]+", left + data)
        yield _numbers([word for word in words if word], dtype)
        if len(left) > 100:
            raise DamagedError
    yield _numbers([left] if left else [], dtype)


def _numbers(words: list[bytes], dtype: np.dtype[Any]) -> bytes:
    """Convert words to numbers of `dtype`; one that the type cannot hold is damage."""
    try:
        if dtype.kind == "f":
            with np.errstate(over="ignore"):
                return np.array([float(word) for word in words]).astype(dtype).tobytes()
        return np.array([int(word) for word in words], dtype).tobytes()
    except (ValueError, OverflowError) as error:
        raise DamagedError from error
