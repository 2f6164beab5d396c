"""The stored values of DICOM files, and the values that they stand for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedcross.volumes.files.dicom.encapsulated import decode
from fedcross.volumes.files.dicom.frames import Frame, ImageFile
from fedcross.volumes.files.dicom.header import Unreadable, read_pixel_data

_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_INTEGERS = tuple(np.dtype(f"{kind}{size}") for size in (1, 2, 4) for kind in "ui")


def read_stored(file: ImageFile) -> NDArray[Any]:
    """Read the stored values (frames, rows, columns) of a file; unused bits are cleared.

    Raises
    ------
    Unreadable
        If there are fewer or more of them than the header says, or they are damaged.
    DataError
        If they are compressed in a way that cannot be decoded here.
    """
    data, is_encapsulated = read_pixel_data(file.path)
    if is_encapsulated:
        return _use_bits(decode(file, data), file)
    order = ">" if file.transfer_syntax == _BIG_ENDIAN else "<"
    dtype = np.dtype(f"{order}{'i' if file.signed else 'u'}{file.bits_allocated // 8}")
    shape = (file.frames, file.rows, file.columns)
    expected = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if len(data) < expected:
        raise Unreadable("it is cut short")
    if len(data) >= expected + max(2, file.columns * dtype.itemsize):
        raise Unreadable("it holds more pixels than it declares")
    return _use_bits(np.frombuffer(data[:expected], dtype).reshape(shape), file)


def _use_bits(stored: NDArray[Any], file: ImageFile) -> NDArray[Any]:
    """Clear the bits above the stored ones, which old files use for overlays, or extend the sign."""
    kind = np.dtype(f"{'i' if file.signed else 'u'}{file.bits_allocated // 8}")
    values = stored.astype(kind, copy=False)
    unused = file.bits_allocated - file.bits_stored
    return (values << unused) >> unused if unused else values


def value_type(frames: Sequence[Frame]) -> np.dtype[Any]:
    """Return the smallest type that holds the values of all frames exactly; float64 if none does.

    With slope 1 and intercept 0 it is the stored type.
    """
    if all(frame.slope == 1 and frame.intercept == 0 for frame in frames):
        files = {frame.file for frame in frames}
        kinds = {f"{'i' if file.signed else 'u'}{file.bits_allocated // 8}" for file in files}
        if len(kinds) == 1:
            return np.dtype(kinds.pop())
    if not all(frame.slope.is_integer() and frame.intercept.is_integer() for frame in frames):
        return np.dtype(np.float64)
    ends = [frame.slope * end + frame.intercept for frame in frames for end in _range(frame.file)]
    low, high = min(ends), max(ends)
    for dtype in _INTEGERS:
        info = np.iinfo(dtype)
        if (info.min < 0) == (low < 0) and info.min <= low and high <= info.max:
            return dtype
    return np.dtype(np.float64)


def to_values(stored: NDArray[Any], frame: Frame, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the values (rows, columns) of a frame: inverted if low values are white, then rescaled."""
    if frame.file.inverted:
        low, high = _range(frame.file)
        stored = (low + high) - stored.astype(np.int64)
    if frame.slope == 1 and frame.intercept == 0:
        return stored.astype(dtype)
    if dtype.kind == "f":
        return stored.astype(np.float64) * frame.slope + frame.intercept
    return (stored.astype(np.int64) * int(frame.slope) + int(frame.intercept)).astype(dtype)


def is_padding(stored: NDArray[Any], file: ImageFile) -> NDArray[np.bool_] | None:
    """Return which stored values are padding, or None if none are."""
    if file.padding is None:
        return None
    low, high = file.padding
    found = (stored >= low) & (stored <= high)
    return found if found.any() else None


def _range(file: ImageFile) -> tuple[int, int]:
    """The smallest and the largest value that can be stored."""
    if file.signed:
        return -(2 ** (file.bits_stored - 1)), 2 ** (file.bits_stored - 1) - 1
    return 0, 2**file.bits_stored - 1
