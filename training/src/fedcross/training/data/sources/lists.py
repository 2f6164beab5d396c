"""A list of cases in a file: CSV with a heading line, or JSON in the form of MONAI's data lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fedcross.errors import DataError
from fedcross.training.data.splits import PARTS
from fedcross.volumes.case_list import (
    check_unique,
    find_listed,
    listed_images,
    name_cases,
    read_rows,
)
from fedcross.volumes.files.opening import quoted

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
    """
    rows = read_rows(path, COLUMNS)
    cases = [_case(path, place, row, channels) for place, row in rows]
    names = name_cases([(case.name, case.image) for case in cases], path.parent)
    check_unique(names, [place for place, _ in rows])
    return [replace(case, name=name) for case, name in zip(cases, names, strict=True)]


def _case(path: Path, where: str, row: Mapping[str, Any], channels: Sequence[str]) -> ListedCase:
    values = {key: str(row.get(key) or "").strip() for key in ("label", "name", "patient")}
    images = listed_images(where, row, channels)
    if not images[0] or not values["label"]:
        raise DataError(f"{where} lacks an image or a label.", f"Every entry needs {COLUMNS}.")
    part = str(row.get("split") or "").strip()
    if part and part not in PARTS:
        raise DataError(f"{where}: split must be one of {', '.join(PARTS)}, got {quoted(part)}.")
    image, *further = (find_listed(path.parent, image) for image in images)
    return ListedCase(
        values["name"],
        image,
        find_listed(path.parent, values["label"]),
        part,
        values["patient"],
        tuple(further),
    )
