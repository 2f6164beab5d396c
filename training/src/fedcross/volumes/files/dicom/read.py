"""Read a DICOM volume: a folder of slices, or one file."""

from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from fedcross.contract.plain_text import plain_text
from fedcross.errors import DataError
from fedcross.volumes.files.checks import FORMATS, check_size
from fedcross.volumes.files.dicom.choice import choose
from fedcross.volumes.files.dicom.elements import MAX_NAME, Unreadable
from fedcross.volumes.files.dicom.folder import DIRECTORY, Content, read_folder
from fedcross.volumes.files.dicom.frames import Frame, Other, read_frames
from fedcross.volumes.files.dicom.grouping import find_candidates
from fedcross.volumes.files.dicom.header import is_dicom
from fedcross.volumes.files.dicom.stack import StackGrid, stack_grid
from fedcross.volumes.files.dicom.values import check_rescale, read_values
from fedcross.volumes.files.notes import add_note


@dataclass(frozen=True)
class Stack:
    """The slices of one volume.

    Attributes
    ----------
    name : str
        Name of the folder or file in messages.
    frames : tuple of Frame
        The slices in the order of the volume, at least one.
    grid : StackGrid
        Where its voxels lie.
    """

    name: str
    frames: tuple[Frame, ...]
    grid: StackGrid


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
    stack = find_stack(path, series)
    array, notes = read_values(stack.frames, stack.name)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(stack.grid.spacing_mm)
    image.SetOrigin(stack.grid.origin_mm)
    image.SetDirection(stack.grid.direction)
    for note in notes:
        add_note(image, note)
    return image


def find_stack(path: Path, series: str | None = None) -> Stack:
    """Find the slices of one volume in a folder or a file, without their voxels.

    The parameters and the errors are those of `read_dicom`; the voxels are not decoded.
    """
    content = read_folder(path) if path.is_dir() else _read_file(path)
    if content is None:
        path = path.parent
        content = read_folder(path)
    name = plain_text(path.name, MAX_NAME)
    if not content.frames:
        only = f" but {_join(content.others)}" if content.others else ""
        place = f"The folder {name}" if path.is_dir() else name
        raise DataError(f"{place} holds no DICOM {'images' if only else 'series'}{only}.", FORMATS)
    shown = f"The folder {name}" if path.is_dir() else name
    frames = choose(find_candidates(content.frames), series, shown).frames
    if refusal := next((frame.file.refusal for frame in frames if frame.file.refusal), ""):
        raise DataError(f"{name} {refusal}.", "Export it as one slice in each file.")
    check_rescale(frames, name)
    grid = stack_grid(frames, name)
    check_size(grid.size, name)
    return Stack(name, frames, grid)


def _read_file(path: Path) -> Content | None:
    """Read the header of a file; None if it is a DICOMDIR."""
    name = plain_text(path.name, MAX_NAME)
    if path.stat().st_size == 0:
        raise DataError(f"{name} is empty.", "Copy or export it again.")
    try:
        found = read_frames(path) if is_dicom(path) else None
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror}.") from error
    except Unreadable as error:
        raise _damaged(name, str(error)) from error
    if found is None:
        raise DataError(f"{name} is not an image that can be read.", FORMATS)
    if not isinstance(found, Other):
        return Content(found, ())
    return None if found.kind == DIRECTORY else Content((), (found.kind,))


def _damaged(name: str, why: str) -> DataError:
    reason = f": {why}" if why else ""
    return DataError(f"{name} is damaged or cut short{reason}.", "Copy or export it again.")


def _join(names: tuple[str, ...]) -> str:
    return " and ".join(names[:5]) + (" and others" if len(names) > 5 else "")
