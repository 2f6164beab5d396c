"""The DICOM images that a result is made from: which instances, and whose they are."""

from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from fedcross.contract.plain_text import plain_text
from fedcross.errors import DataError
from fedcross.volumes.files.dicom.elements import MAX_NAME, Unreadable, text
from fedcross.volumes.files.dicom.frames import Frame
from fedcross.volumes.files.dicom.header import read_whole_header
from fedcross.volumes.files.dicom.read import find_stack
from fedcross.volumes.files.read import is_dicom
from fedcross.volumes.grid import Grid

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
    stack = find_stack(path.absolute(), series)
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
            "Export the series again, or leave out --dicom.",
        )
    for keyword in _FRAMES:
        if keyword in header:
            del header[keyword]
    x, y, z = stack.grid.origin_mm
    grid = Grid(stack.grid.size, stack.grid.spacing_mm, (x, y, z), stack.grid.direction)
    return DicomSource(stack.name, stack.frames, grid, header)
