"""Find the volumes in a tree of DICOM folders; each is a case."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedcross.contract.plain_text import plain_text
from fedcross.errors import DataError
from fedcross.infer.batch.case import Case, safe_name, with_unique_names
from fedcross.runtime.files.walk import walk
from fedcross.runtime.reporting import Reporter
from fedcross.volumes.files.dicom.folder import read_folder
from fedcross.volumes.files.dicom.grouping import Candidate, find_candidates
from fedcross.volumes.files.dicom.header import is_dicom

DIRECTORY_FILE = "DICOMDIR"


@dataclass(frozen=True)
class _Volume:
    """A volume, with its number among those of a folder, as ``--series`` takes it."""

    folder: Path
    number: int
    candidate: Candidate

    @property
    def uid(self) -> str:
        return self.candidate.frames[0].file.series_uid


def find_series_cases(root: Path, modality: str, reporter: Reporter) -> list[Case]:
    """Return the volumes at or below a folder as cases; their pixels are not read.

    A case is named after its Series Instance UID, which tells nothing about the patient. Single slices,
    and volumes of another modality than the bundle's, are left out, which is reported. A folder with a
    damaged file is a case with a problem.

    Parameters
    ----------
    root
        The folder.
    modality
        DICOM modality of the bundle; empty if unknown.
    reporter
        Receives what is left out.

    Raises
    ------
    DataError
        If there is no such folder, a folder cannot be listed, or there is no volume.
    """
    if not root.is_dir():
        raise DataError(f"There is no folder named {root.name}.", "Check the path.")
    volumes: list[_Volume] = []
    damaged: list[Case] = []
    for folder in _dicom_folders(root):
        try:
            volumes += _volumes_of(folder)
        except DataError as error:
            name = safe_name("-".join(folder.relative_to(root).parts) or root.name)
            damaged.append(Case(name, (folder,), problem=error))
    kept = _drop_others(_drop_repeated(volumes), modality, reporter)
    if not kept and not damaged:
        raise DataError(
            f"There is no volume below {plain_text(root.name)}.", "Give a folder of DICOM series."
        )
    return with_unique_names([*_cases(kept), *damaged])


def _dicom_folders(root: Path) -> Iterator[Path]:
    """Yield every folder that itself holds a DICOM file."""
    try:
        for folder, names in walk(root):
            files = (folder / name for name in names if name != DIRECTORY_FILE)
            if any(path.is_file() and _is_dicom(path) for path in files):
                yield folder
    except OSError as error:
        raise DataError(f"A folder below {root.name} cannot be read: {error.strerror}.") from error


def _is_dicom(path: Path) -> bool:
    try:
        return is_dicom(path)
    except OSError:
        return True  # `read_folder` reports it


def _volumes_of(folder: Path) -> Iterator[_Volume]:
    candidates = find_candidates(read_folder(folder).frames)
    for number, candidate in enumerate(candidates, start=1):
        if any(frame.file.path.parent == folder for frame in candidate.frames):
            yield _Volume(folder, number, candidate)


def _drop_repeated(volumes: Sequence[_Volume]) -> list[_Volume]:
    """Leave out a volume all of whose files belong to one of a folder further up."""
    seen: set[Path] = set()
    kept = []
    for volume in volumes:
        files = {frame.file.path for frame in volume.candidate.frames}
        if not files <= seen:
            kept.append(volume)
        seen |= files
    return kept


def _drop_others(volumes: Sequence[_Volume], modality: str, reporter: Reporter) -> list[_Volume]:
    """Leave out the volumes that the bundle is not for, and report them."""
    kept = []
    left_out: Counter[str] = Counter()
    for volume in volumes:
        first = volume.candidate.frames[0].file
        if len(volume.candidate.frames) == 1:
            left_out["single slices"] += 1
        elif modality and first.modality and first.modality != modality:
            left_out[f"volumes of the modality {plain_text(first.modality)}"] += 1
        else:
            kept.append(volume)
    if left_out:
        shown = ", ".join(f"{what} ({count})" for what, count in sorted(left_out.items()))
        reporter.log(f"Left out: {shown}.")
    return kept


def _cases(volumes: Sequence[_Volume]) -> Iterator[Case]:
    """Yield the cases. A series that lies in several folders is read from the folder above them."""
    folders: dict[str, set[Path]] = {}
    for volume in volumes:
        folders.setdefault(volume.uid, set()).add(volume.folder)
    joined = set()
    for volume in volumes:
        uid, places = volume.uid, folders[volume.uid]
        name = safe_name(uid or volume.folder.name)
        if not uid or len(places) == 1:
            yield Case(name, (volume.folder,), str(volume.number))
        elif uid not in joined:
            joined.add(uid)
            yield Case(name, (Path(os.path.commonpath(places)),), uid)
