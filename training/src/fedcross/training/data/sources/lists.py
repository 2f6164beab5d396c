"""A list of cases in a file: CSV with a heading line, or JSON in the form of MONAI's data lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fedcross.contract.plain_text import counted, plain_text
from fedcross.errors import DataError
from fedcross.training.data.splits import PARTS
from fedcross.volumes.case_list import (
    SECTIONS,
    check_unique,
    find_listed,
    listed_images,
    name_cases,
    read_rows,
)
from fedcross.volumes.files.opening import quoted

USED = frozenset({"image", "label", "name", "patient", "split"})
COLUMNS = (
    "image, label and optionally name, patient and split; and image:NAME for a further channel"
)


@dataclass(frozen=True)
class ListedCase:
    """One entry of a list.

    `part` and `patient` are empty if the entry does not give them. `further` are the images of the
    further channels.
    """

    name: str
    image: Path
    label: Path
    part: str
    patient: str
    further: tuple[Path, ...] = ()


def read_list(path: Path, channels: Sequence[str] = ("image",)) -> list[ListedCase]:
    """Read a list file; its paths are relative to its folder.

    Parameters
    ----------
    path
        A ``.json`` file is an array of objects, or an object with the arrays ``training`` (or
        ``train``), ``validation`` and ``testing`` (or ``test``). Any other file is read as CSV with
        commas, semicolons or tabs.
    channels
        Names of the channels that have files of their own. The first is in the column ``image`` or
        ``image:NAME``, a further one in ``image:NAME``. In JSON ``image`` may also be an array with the
        images of all channels.

    Raises
    ------
    DataError
        If the file cannot be read or is empty, or an entry has no image or label, has an unknown
        part, has no name, or has the name of an earlier one. The message gives the line or entry number.
        A test entry without label in JSON is left out, because data lists of challenges have such.
    """
    rows = [
        (place, row)
        for place, row in read_rows(path, COLUMNS)
        if not _is_unlabelled_test(path, row)
    ]
    cases = [_case(path, place, row, channels) for place, row in rows]
    names = name_cases([(case.name, case.image) for case in cases], path.parent)
    check_unique(names, [place for place, _ in rows])
    return [replace(case, name=name) for case, name in zip(cases, names, strict=True)]


def list_notes(path: Path, channels: Sequence[str] = ("image",)) -> tuple[str, ...]:
    """Return sentences about what a list has and `read_list` does not use; the parameters are its.

    Raises
    ------
    DataError
        If the file cannot be read or is empty.
    """
    rows = read_rows(path, COLUMNS)
    known = {*USED, *(f"image:{name.casefold()}" for name in channels)}
    unused = sorted({column for _, row in rows for column in row if column} - known)
    unlabelled = sum(_is_unlabelled_test(path, row) for _, row in rows)
    notes = []
    if unused:
        shown = plain_text(", ".join(unused))
        notes.append(f"Not used in the list {path.name}: {shown}. It may have {COLUMNS}.")
    if unlabelled:
        notes.append(
            f"Without label, therefore not used: {counted(unlabelled, 'test case')} of {path.name}."
        )
    return tuple(notes)


def _is_unlabelled_test(path: Path, row: Mapping[str, Any]) -> bool:
    """Whether an entry in JSON is a test case with an image and no label."""
    is_test = path.suffix.lower() == ".json" and row.get("split") == "test"
    return is_test and bool(row.get("image")) and not row.get("label")


def _case(path: Path, where: str, row: Mapping[str, Any], channels: Sequence[str]) -> ListedCase:
    values = {key: str(row.get(key) or "").strip() for key in ("label", "name", "patient")}
    images = listed_images(where, row, channels)
    if not images[0] or not values["label"]:
        raise DataError(f"{where} lacks an image or a label.", f"Every entry needs {COLUMNS}.")
    given = str(row.get("split") or "").strip()
    part = SECTIONS.get(given.lower(), "")
    if given and not part:
        raise DataError(f"{where}: split must be one of {', '.join(PARTS)}, got {quoted(given)}.")
    image, *further = (find_listed(path.parent, image) for image in images)
    return ListedCase(
        values["name"],
        image,
        find_listed(path.parent, values["label"]),
        part,
        values["patient"],
        tuple(further),
    )
