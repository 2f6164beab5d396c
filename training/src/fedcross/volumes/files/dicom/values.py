"""The values that the stored ones stand for: inverted, rescaled, and without padding."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedcross.errors import DataError
from fedcross.volumes.files.dicom.elements import Unreadable, describe_damage
from fedcross.volumes.files.dicom.frames import Frame
from fedcross.volumes.files.dicom.gdcm import GdcmProcess
from fedcross.volumes.files.dicom.image_file import ImageFile
from fedcross.volumes.files.dicom.pixels import read_stored

_INTEGERS = tuple(np.dtype(f"{kind}{size}") for size in (1, 2, 4) for kind in "ui")


def read_values(frames: Sequence[Frame], name: str) -> tuple[NDArray[Any], list[str]]:
    """Decode all slices of a volume.

    Parameters
    ----------
    frames
        At least one, in the order of the volume, all of one size.
    name
        Name of the volume in messages.

    Returns
    -------
    values : NDArray
        (z, y, x), of the type that `value_type` names.
    notes : list of str
        Sentences on what was changed. Padding beyond the range of the other voxels gets the smallest of
        their values; padding with the value 0 stays.

    Raises
    ------
    DataError
        If files cannot be decoded; the message counts them and names the first.
    """
    first = frames[0].file
    values: NDArray[Any] | None = None
    padding: dict[int, NDArray[np.bool_]] = {}
    damaged: dict[Path, str] = {}
    order = sorted(range(len(frames)), key=lambda k: (frames[k].file.path, frames[k].index))
    with GdcmProcess() as gdcm:
        for file, places in groupby(order, key=lambda k: frames[k].file):
            try:
                stored = read_stored(file, gdcm)
            except Unreadable as error:
                damaged[file.path] = str(error)
                continue
            if values is None:  # not before the first file holds what it declares
                values = np.empty((len(frames), first.rows, first.columns), value_type(frames))
            for k in places:
                plane = stored[frames[k].index]
                values[k] = to_values(plane, frames[k], values.dtype)
                outside = find_padding(plane, file)
                if outside is not None:
                    padding[k] = outside
    if damaged or values is None:
        raise DataError(
            f"The series {name} has {describe_damage(damaged)}", "Export the whole series again."
        )
    return values, [*_note_inversion(first), *_fill(values, padding)]


def check_rescale(frames: Sequence[Frame], name: str) -> None:
    """Raise DataError if some slices of a volume lack the rescale that others have."""
    bare = [frame for frame in frames if not frame.is_rescaled]
    if bare and any(frame.slope != 1 or frame.intercept != 0 for frame in frames):
        raise DataError(
            f"{len(bare)} of the {len(frames)} slices of {name} have no RescaleSlope and "
            f"RescaleIntercept, but others have; the first is {bare[0].file.path.name}.",
            "Export the whole series again.",
        )


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


def find_padding(stored: NDArray[Any], file: ImageFile) -> NDArray[np.bool_] | None:
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


def _note_inversion(file: ImageFile) -> Iterator[str]:
    if file.inverted:
        yield "The volume stores white as low values (MONOCHROME1): its values were inverted."


def _fill(values: NDArray[Any], padding: Mapping[int, NDArray[np.bool_]]) -> Iterator[str]:
    """Give padding beyond the range of the other voxels the smallest of their values, in place."""
    if not padding:
        return
    inside = [values[k][~padding[k]] if k in padding else values[k] for k in range(len(values))]
    inside = [each for each in inside if each.size]
    if not inside:
        return
    low, high = min(each.min() for each in inside), max(each.max() for each in inside)
    count, replaced = 0, set()
    for k, outside in padding.items():
        plane = values[k]
        beyond = outside & (plane != 0) & ((plane < low) | (plane > high))
        replaced.update(np.unique(plane[beyond]).tolist()[:3])
        count += int(np.count_nonzero(beyond))
        plane[beyond] = low
    if count:
        shown = ", ".join(f"{value:g}" for value in sorted(replaced)[:3])
        yield f"The volume has {count} voxels of padding (value {shown}): they got the value {low:g}."
