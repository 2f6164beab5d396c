"""Choose one of the volumes in a folder or a file, and name all of them."""

from collections.abc import Sequence

import numpy as np

from fedcross.contract.plain_text import plain_text
from fedcross.errors import DataError
from fedcross.volumes.files.dicom.elements import MAX_NAME
from fedcross.volumes.files.dicom.grouping import Candidate, normal, offsets_mm

SHOWN = 20
_AXES = ("sagittal", "coronal", "axial")
_OBLIQUE = 0.9
"""A normal whose largest cosine is below this belongs to an oblique volume."""


def choose(candidates: Sequence[Candidate], wanted: str | None, name: str) -> Candidate:
    """Return the only volume, or the wanted one.

    Parameters
    ----------
    candidates
        At least one.
    wanted
        Its number in the list of the error message, from 1, or its Series Instance UID; None if there
        is only one.
    name
        Name of the folder or file in messages.

    Raises
    ------
    DataError
        If there are several, or none that is wanted; the message lists them.
    """
    number = int(wanted) if wanted is not None and wanted.isdecimal() and len(wanted) < 9 else None
    listed = list(enumerate(candidates, start=1))
    if number is not None:
        fitting = [each for each in listed if each[0] == number]
    elif wanted is not None:
        fitting = [each for each in listed if each[1].frames[0].file.series_uid == wanted]
    else:
        fitting = listed
    if len(fitting) == 1:
        return fitting[0][1]
    found = f"{name} holds {_count(len(listed))}: {_list(fitting or listed)}."
    if fitting:
        which = "" if wanted is None else f" of series {plain_text(wanted, MAX_NAME)}"
        raise DataError(
            found
            if not which
            else f"{name} holds {_count(len(fitting))}{which}: {_list(fitting)}.",
            f"Choose one with --series, for example --series {fitting[0][0]}, or give a folder with "
            "one volume.",
        )
    raise DataError(
        f"There is no series {plain_text(str(wanted), MAX_NAME)}: {found}", "Choose one of these."
    )


def describe(candidate: Candidate) -> str:
    """Return a volume's modality, orientation, size, spacing, series number and what is special."""
    first, count = candidate.frames[0], len(candidate.frames)
    words = [
        first.file.modality or "unknown modality",
        _orientation(candidate),
        f"{count} slice{'s' if count > 1 else ''} of {first.file.columns} x {first.file.rows}",
    ]
    if first.spacing_mm is not None:
        sides = [*first.spacing_mm[::-1], *_slice_distance(candidate)]
        words.append(f"{' x '.join(f'{side:.3g}' for side in sides)} mm")
    if first.file.series_number is not None:
        words.append(f"series {first.file.series_number}")
    shown = [*candidate.traits]
    if first.position_mm is None:
        shown.append("without positions")
    return ", ".join(plain_text(each, MAX_NAME) for each in (*words, *shown) if each)


def _slice_distance(candidate: Candidate) -> list[float]:
    """The mean distance of the slices, or the thickness of one; empty if it is unknown."""
    frames = candidate.frames
    if len(frames) == 1 or frames[0].position_mm is None or frames[0].orientation is None:
        return [each for each in (frames[0].thickness_mm,) if each is not None]
    return [float(np.ptp(offsets_mm(frames))) / (len(frames) - 1)]


def _orientation(candidate: Candidate) -> str:
    first = candidate.frames[0]
    if first.orientation is None:
        return ""
    across = np.abs(normal(first))
    axis = int(np.argmax(across))
    return ("oblique " if across[axis] < _OBLIQUE else "") + _AXES[axis]


def _list(listed: Sequence[tuple[int, Candidate]]) -> str:
    shown = "; ".join(f"{number}: {describe(candidate)}" for number, candidate in listed[:SHOWN])
    more = len(listed) - SHOWN
    return f"{shown}; and {more} more" if more > 0 else shown


def _count(volumes: int) -> str:
    return f"{volumes} volumes" if volumes != 1 else "one volume"
