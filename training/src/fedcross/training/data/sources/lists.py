"""A list of cases in a file: CSV with a heading line, or JSON in the form of MONAI's data lists."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedcross.errors import DataError
from fedcross.training.data.sources.folders import stem
from fedcross.training.data.splits import PARTS

COLUMNS = (
    "image, label and optionally name, patient and split; and image:NAME for a further channel"
)
# Names of the parts in data lists of MONAI and others.
_SECTIONS = {"training": "train", "testing": "test", **{part: part for part in PARTS}}


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
        part, or has the name of an earlier one. The message gives the line or entry number.
    """
    try:
        rows = list(_json_rows(path) if path.suffix.lower() == ".json" else _csv_rows(path))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"The list {path.name} cannot be read.", f"It needs {COLUMNS}.") from error
    if not rows:
        raise DataError(f"The list {path.name} names no cases.", f"It needs {COLUMNS}.")
    cases: dict[str, ListedCase] = {}
    for place, row in rows:
        case = _case(path, f"{place} of the list {path.name}", row, channels)
        if case.name in cases:
            raise DataError(
                f"{place} of the list {path.name} names the case {case.name} a second time.",
                "Give it another name in the column name.",
            )
        cases[case.name] = case
    return list(cases.values())


def _csv_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        heading = file.readline()
        file.seek(0)
        # Spreadsheets separate columns differently by country.
        separator = max(",;\t", key=heading.count)
        rows = csv.DictReader(file, delimiter=separator, skipinitialspace=True)
        for number, row in enumerate(rows, start=2):
            yield f"Line {number}", row


def _json_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    content = json.loads(path.read_text(encoding="utf-8-sig"))
    sections = content if isinstance(content, dict) else {"": content}
    for section, entries in sections.items():
        if section and section not in _SECTIONS:
            continue  # other keys, for example a description
        if not isinstance(entries, list):
            raise ValueError("not an array of entries")
        for number, entry in enumerate(entries, start=1):
            values = dict(entry) if isinstance(entry, dict) else {"image": entry}
            part = {"split": _SECTIONS[section]} if section else {}
            yield f"Entry {number}{f' of {section}' if section else ''}", {**part, **values}


def _case(path: Path, where: str, row: Mapping[str, Any], channels: Sequence[str]) -> ListedCase:
    values = {key: str(row.get(key) or "").strip() for key in ("label", "name", "patient")}
    images = _images(where, row, channels)
    if not images[0] or not values["label"]:
        raise DataError(f"{where} lacks an image or a label.", f"Every entry needs {COLUMNS}.")
    part = str(row.get("split") or "").strip()
    if part and part not in PARTS:
        raise DataError(f"{where}: split must be one of {', '.join(PARTS)}, got {part!r}.")
    image, *further = (path.parent / image for image in images)
    return ListedCase(
        values["name"] or stem(image),
        image,
        path.parent / values["label"],
        part,
        values["patient"],
        tuple(further),
    )


def _images(where: str, row: Mapping[str, Any], channels: Sequence[str]) -> list[str]:
    """Return the image of each channel as in the list; the first may be empty."""
    first = row.get("image") or row.get(f"image:{channels[0]}")
    if isinstance(first, list):
        images = [str(image).strip() for image in first]
        if len(images) != len(channels):
            raise DataError(
                f"{where} gives {len(images)} images, but the channels are {', '.join(channels)}.",
                "Give one image for each channel.",
            )
        return images
    images = [str(first or "").strip()]
    for name in channels[1:]:
        images.append(str(row.get(f"image:{name}") or "").strip())
        if not images[-1]:
            raise DataError(
                f"{where} lacks the image for {name}.", f"Give it in the column image:{name}."
            )
    return images
