"""Read a DICOM volume: a folder of slices, or one file."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from fedcross.errors import DataError
from fedcross.volumes.files.checks import FORMATS, check_size
from fedcross.volumes.files.dicom.choice import choose
from fedcross.volumes.files.dicom.folder import Content, read_folder
from fedcross.volumes.files.dicom.frames import Frame, read_frames
from fedcross.volumes.files.dicom.grouping import find_candidates
from fedcross.volumes.files.dicom.header import Unreadable, describe_damage, is_dicom, printable
from fedcross.volumes.files.dicom.pixels import is_padding, read_stored, to_values, value_type
from fedcross.volumes.files.dicom.stack import stack_grid
from fedcross.volumes.files.notes import add_note

_DIRECTORY = "Media Storage Directory"


def read_dicom(path: Path, series: str | None = None) -> sitk.Image:
    """Read one volume from a folder or a file.

    Parameters
    ----------
    path
        A folder, also the root of a DICOMDIR tree; a file; or the file ``DICOMDIR``, which stands for
        its folder.
    series
        Which volume, if there are several: its number in the list that the error message gives, from 1,
        or its Series Instance UID.

    Returns
    -------
    SimpleITK.Image
        The values after rescale; (x, y, z) = (column, row, slice), slices in the order of their
        positions, LPS in mm. Its notes (`fedcross.volumes.files.notes`) say what was changed.

    Raises
    ------
    DataError
        If there is no volume, none that is wanted, several, a damaged file, or a volume that cannot be
        stacked or decoded.
    """
    content = read_folder(path) if path.is_dir() else _read_file(path)
    if content is None:
        path = path.parent
        content = read_folder(path)
    name = printable(path.name)
    if not content.frames:
        only = f" but {_join(content.others)}" if content.others else ""
        place = f"The folder {name}" if path.is_dir() else name
        raise DataError(f"{place} holds no DICOM {'images' if only else 'series'}{only}.", FORMATS)
    shown = f"The folder {name}" if path.is_dir() else name
    frames = choose(find_candidates(content.frames), series, shown).frames
    if refusal := next((frame.file.refusal for frame in frames if frame.file.refusal), ""):
        raise DataError(f"{name} {refusal}.", "Export it as one slice in each file.")
    grid = stack_grid(frames, name)
    check_size(grid.size, name)
    array, notes = _read_values(frames, name)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.direction)
    for note in notes:
        add_note(image, note)
    return image


def _read_file(path: Path) -> Content | None:
    """Read the header of a file; None if it is a DICOMDIR."""
    name = printable(path.name)
    if path.stat().st_size == 0:
        raise DataError(f"{name} is empty.", "Copy or export it again.")
    try:
        found = read_frames(path) if is_dicom(path) else ""
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror}.") from error
    except Unreadable as error:
        raise _damaged(name, str(error)) from error
    if found == "":
        raise DataError(f"{name} is not an image that can be read.", FORMATS)
    if found == _DIRECTORY:
        return None
    return Content((), (found,)) if isinstance(found, str) else Content(found, ())


def _damaged(name: str, why: str) -> DataError:
    reason = f": {why}" if why else ""
    return DataError(f"{name} is damaged or cut short{reason}.", "Copy or export it again.")


def _read_values(frames: tuple[Frame, ...], name: str) -> tuple[NDArray[Any], list[str]]:
    """Decode all slices: values (z, y, x), and notes on what was changed.

    Padding that lies beyond the range of the other voxels gets the smallest of their values; 0 stays.
    """
    first = frames[0].file
    values = np.empty((len(frames), first.rows, first.columns), value_type(frames))
    outside: dict[int, NDArray[np.bool_]] = {}
    damaged: dict[Path, str] = {}
    order = sorted(range(len(frames)), key=lambda k: (frames[k].file.path, frames[k].index))
    for file, places in groupby(order, key=lambda k: frames[k].file):
        try:
            stored = read_stored(file)
        except Unreadable as error:
            damaged[file.path] = str(error)
            continue
        for k in places:
            plane = stored[frames[k].index]
            values[k] = to_values(plane, frames[k], values.dtype)
            padding = is_padding(plane, file)
            if padding is not None:
                outside[k] = padding
    if len(damaged) == 1 and first.frames > 1:
        raise _damaged(name, next(iter(damaged.values())))
    if damaged:
        raise DataError(
            f"The series {name} has {describe_damage(damaged)}", "Export the whole series again."
        )
    return values, [*_inverted(first.inverted, name), *_fill_padding(values, outside, name)]


def _inverted(is_inverted: bool, name: str) -> Iterator[str]:
    if is_inverted:
        yield f"{name} stores white as low values (MONOCHROME1): its values were inverted."


def _fill_padding(
    values: NDArray[Any], outside: dict[int, NDArray[np.bool_]], name: str
) -> Iterator[str]:
    inside = (
        [values[k][~outside[k]] if k in outside else values[k] for k in range(len(values))]
        if outside
        else []
    )
    inside = [each for each in inside if each.size]
    if not inside:
        return
    low, high = min(each.min() for each in inside), max(each.max() for each in inside)
    count, replaced = 0, set()
    for k, padding in outside.items():
        plane = values[k]
        beyond = padding & (plane != 0) & ((plane < low) | (plane > high))
        replaced.update(np.unique(plane[beyond]).tolist()[:3])
        count += int(np.count_nonzero(beyond))
        plane[beyond] = low
    if count:
        shown = ", ".join(f"{value:g}" for value in sorted(replaced)[:3])
        yield f"{name} has {count} voxels of padding (value {shown}): they got the value {low:g}."


def _join(names: tuple[str, ...]) -> str:
    return " and ".join(names[:5]) + (" and others" if len(names) > 5 else "")
