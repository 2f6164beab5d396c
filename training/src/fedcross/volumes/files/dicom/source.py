"""The DICOM images that a result is made from: which instances, and whose they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from fedcross.contract.plain_text import plain_text
from fedcross.errors import DataError
from fedcross.volumes.files.dicom.elements import MAX_NAME, Unreadable, text
from fedcross.volumes.files.dicom.folder import read_files
from fedcross.volumes.files.dicom.frames import Frame
from fedcross.volumes.files.dicom.grouping import find_candidates
from fedcross.volumes.files.dicom.header import read_whole_header
from fedcross.volumes.files.dicom.read import Stack, find_stack
from fedcross.volumes.files.dicom.stack import StackGrid, stack_grid
from fedcross.volumes.files.read import is_dicom
from fedcross.volumes.grid import Grid, find_difference

_REQUIRED = {
    "StudyInstanceUID": "study",
    "SeriesInstanceUID": "series",
    "FrameOfReferenceUID": "frame of reference",
}
_FRAMES = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")


@dataclass(frozen=True)
class DicomSource:
    """The slices of one volume and their identity.

    Attributes
    ----------
    name : str
        Name of the folder or file in messages.
    frames : tuple of Frame
        The slices in the order of the volume.
    grid : Grid
        Where the voxels lie, as `fedcross.volumes.files.read.read_volume` returns them.
    header : Dataset
        The header of the first slice's file, decoded, without pixels and descriptions of frames:
        patient, study, equipment.
    """

    name: str
    frames: tuple[Frame, ...]
    grid: Grid
    header: Dataset

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the slices, each once."""
        return tuple(dict.fromkeys(frame.file.path for frame in self.frames))


def find_source(path: Path, series: str | None = None) -> DicomSource:
    """Find the slices of a DICOM volume and read to whom they belong; no voxels are read.

    Parameters
    ----------
    path, series
        See `fedcross.volumes.files.read.read_volume`.

    Raises
    ------
    DataError
        If it is no DICOM, there is no volume to be read, or it has no UID that a result must name.
    """
    if not is_dicom(path):
        raise DataError(
            f"{plain_text(path.name, MAX_NAME)} is no DICOM: no DICOM results can be made of it.",
            "Give the DICOM series, or leave out --dicom.",
        )
    return _source(find_stack(path.absolute(), series))


def find_source_of_files(paths: Sequence[Path], grid: Grid) -> DicomSource:
    """Find the slices of a volume among DICOM files and read to whom they belong.

    Parameters
    ----------
    paths
        DICOM files of images, in any order.
    grid
        Where the voxels of the volume lie; of several volumes it chooses the one that lies there.

    Raises
    ------
    DataError
        If a file cannot be read, no volume or more than one lies on the grid, or the volume has no UID
        that a result must name.
    """
    name = plain_text(paths[0].parent.name, MAX_NAME) if paths else ""
    candidates = find_candidates(read_files(paths, name).frames)
    stacks = [_stack_on(grid, candidate.frames, name) for candidate in candidates]
    fitting = [stack for stack in stacks if stack is not None]
    if not fitting:
        raise DataError(
            f"The series {name} holds no volume with the voxels of the result, to which DICOM results "
            "must refer.",
            "Segment the series itself, without a transform and without resampling.",
        )
    if len(fitting) > 1:
        raise DataError(
            f"The series {name} holds {len(fitting)} volumes at the place of the result, and it is "
            "unknown which of them was segmented.",
            "Use the command line, which chooses one volume with --series.",
        )
    return _source(fitting[0])


def _stack_on(grid: Grid, frames: tuple[Frame, ...], name: str) -> Stack | None:
    """The slices as a stack; None if they cannot be stacked, or lie on another grid."""
    try:
        found = stack_grid(frames, name)
    except DataError:
        return None
    return Stack(name, frames, found) if find_difference(_grid(found), grid) is None else None


def _grid(stacked: StackGrid) -> Grid:
    x, y, z = stacked.origin_mm
    return Grid(stacked.size, stacked.spacing_mm, (x, y, z), stacked.direction)


def _source(stack: Stack) -> DicomSource:
    """Read to whom a stack belongs."""
    try:
        header = read_whole_header(stack.frames[0].file.path)
        missing = [what for keyword, what in _REQUIRED.items() if not text(header, keyword)]
    except Unreadable as error:
        raise DataError(
            f"The series {stack.name} has a header that cannot be read.", "Export the series again."
        ) from error
    if any(not (frame.file.sop_uid and frame.file.sop_class) for frame in stack.frames):
        missing.append("images")
    if missing:
        raise DataError(
            f"The series {stack.name} has no UID of its {' and its '.join(missing)}, which DICOM "
            "results must name.",
            "Export the series again, or do without DICOM results.",
        )
    for keyword in _FRAMES:
        if keyword in header:
            del header[keyword]
    return DicomSource(stack.name, stack.frames, _grid(stack.grid), header)
