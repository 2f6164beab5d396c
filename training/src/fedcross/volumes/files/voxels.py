"""Read the voxels of one volume of a file, and verify the file to its end."""

import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedcross.errors import DataError
from fedcross.volumes.files.encodings import CHUNK, DamagedError, decode, most_bytes
from fedcross.volumes.files.opening import open_regular, size_in_bytes
from fedcross.volumes.files.stored import EXPORT_AGAIN, StoredVolume

_COPIED = 1 << 16  # bytes of a volume's run below which whole blocks of all volumes are read


def read_voxels(stored: StoredVolume, volume: int = 0) -> NDArray[Any]:
    """Read the voxels of one 3D volume, and verify the file to its end.

    Memory is allocated only if the file can hold what the header declares.

    Parameters
    ----------
    stored
        The volume.
    volume
        Index of the 3D volume.

    Returns
    -------
    NDArray
        (z, y, x) in the machine's byte order; float32 or float64 if the numbers are scaled.

    Raises
    ------
    DataError
        If the file is missing, shorter or longer than its header declares, or its compressed data is
        damaged.
    """
    dtype, place = stored.dtype, stored.file
    wanted = stored.grid.voxels * stored.volumes * dtype.itemsize + place.skip
    with open_regular(place.path, place.purpose) as file:
        length = size_in_bytes(file)
        start = length - wanted if place.start is None else place.start
        rest = length - start
        if start < 0 or rest < 0 or wanted > most_bytes(rest, place.encoding, dtype):
            raise _short(stored, wanted, rest)
        if place.encoding == "raw" and rest > wanted:
            raise _long(stored, rest - wanted)
        file.seek(start)
        stream = _Stream(decode(file, place.encoding, dtype))
        try:
            stream.skip(place.skip)
            voxels = _select(stream, stored, volume)
            surplus = stream.finish()
        except (DamagedError, OSError) as error:
            raise DataError(f"{stored.name} is damaged or cut short.", EXPORT_AGAIN) from error
    if surplus:
        raise _long(stored, surplus)
    return _scaled(voxels, stored).reshape(stored.grid.shape)


def _short(stored: StoredVolume, wanted: int, rest: int) -> DataError:
    kind = "" if stored.file.encoding == "raw" else f"{stored.file.encoding}-encoded "
    return DataError(
        f"{stored.name} is damaged or cut short: its header declares {wanted} bytes of voxels, more "
        f"than its {max(0, rest)} {kind}bytes can hold.",
        EXPORT_AGAIN,
    )


def _long(stored: StoredVolume, surplus: int) -> DataError:
    return DataError(
        f"{stored.name} is damaged: there are {surplus} bytes more than its header declares.",
        EXPORT_AGAIN,
    )


def _select(stream: "_Stream", stored: StoredVolume, volume: int) -> NDArray[Any]:
    """Read the chosen volume and pass over the others."""
    dtype, count = stored.dtype, stored.volumes
    voxels = np.empty(stored.grid.voxels, dtype)
    target = voxels.view(np.uint8)
    run = math.prod(stored.grid.size[: stored.faster])  # voxels that lie together
    size = run * dtype.itemsize
    if size >= _COPIED or count == 1:
        for begin in range(0, len(target), size):
            stream.skip(volume * size)
            stream.read_into(target[begin : begin + size])
            stream.skip((count - 1 - volume) * size)
        return voxels
    blocks = len(voxels) // run
    step = max(1, CHUNK // (size * count))
    for begin in range(0, blocks, step):
        part = min(step, blocks - begin)
        block = np.empty((part, count, run), dtype)
        stream.read_into(block.ravel().view(np.uint8))
        voxels[begin * run : (begin + part) * run] = block[:, volume].ravel()
    return voxels


def _scaled(voxels: NDArray[Any], stored: StoredVolume) -> NDArray[Any]:
    if stored.scale is None:
        return voxels.astype(voxels.dtype.newbyteorder("="), copy=False)
    slope, intercept = stored.scale
    exact = voxels.dtype.itemsize > 2 and voxels.dtype != np.float32
    intensities = np.empty(voxels.shape, np.float64 if exact else np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused later
        for begin in range(0, len(voxels), CHUNK):
            part = voxels[begin : begin + CHUNK].astype(np.float64)
            intensities[begin : begin + CHUNK] = part * slope + intercept
    return intensities


class _Stream:
    """Bytes that come in chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def read_into(self, target: NDArray[np.uint8]) -> None:
        """Fill `target` (n,); raise `DamagedError` if the bytes do not suffice."""
        done = 0
        for part in self._take(len(target)):
            target[done : done + len(part)] = np.frombuffer(part, np.uint8)
            done += len(part)

    def skip(self, count: int) -> None:
        """Pass over bytes."""
        for _ in self._take(count):
            pass

    def finish(self) -> int:
        """Read to the end of a stream that should have ended; return the bytes found before it.

        At most one chunk is read beyond the expected end.
        """
        surplus = len(self._rest)
        with suppress(StopIteration):
            while not surplus:
                surplus += len(next(self._chunks))
        return surplus

    def _take(self, count: int) -> Iterator[memoryview]:
        while count:
            if not self._rest:
                chunk = next(self._chunks, None)
                if chunk is None:
                    raise DamagedError
                self._rest = memoryview(chunk)
                continue
            part, self._rest = self._rest[:count], self._rest[count:]
            count -= len(part)
            yield part
