"""A list of cases in a file: CSV with a heading, or JSON as MONAI's data lists have it."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedcross.errors import DataError
from fedcross.train.data.sources.folders import stem
from fedcross.train.data.splits import PARTS

COLUMNS = "image, label and, if wanted, name, patient and split"
# What data lists of MONAI and others call the parts.
_SECTIONS = {"training": "train", "testing": "test", **{part: part for part in PARTS}}


@dataclass(frozen=True)
class ListedCase:
    """One line of a list; `part` and `patient` are empty where it does not tell."""

    name: str
    image: Path
    label: Path
    part: str
    patient: str


def read_list(path: Path) -> list[ListedCase]:
    """Read a list; paths in it are relative to its own folder.

    Parameters
    ----------
    path
        ``.json``: an array of objects, or an object with the arrays ``training``, ``validation``
        and ``test``; anything else is read as CSV.

    Raises
    ------
    DataError
        If it cannot be read, is empty, or an entry (named by its line or place) lacks something,
        names an unknown part or a case a second time.
    """
    try:
        rows = list(_json_rows(path) if path.suffix.lower() == ".json" else _csv_rows(path))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"The list {path.name} cannot be read.", f"It has {COLUMNS}.") from error
    if not rows:
        raise DataError(f"The list {path.name} names no cases.", f"It has {COLUMNS}.")
    cases: dict[str, ListedCase] = {}
    for place, row in rows:
        case = _case(path, f"{place} of the list {path.name}", row)
        if case.name in cases:
            raise DataError(
                f"{place} of the list {path.name} names the case {case.name} a second time.",
                "Give it another name, in a column name.",
            )
        cases[case.name] = case
    return list(cases.values())


def _csv_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        heading = file.readline()
        file.seek(0)
        # What spreadsheets put between columns differs by country.
        separator = max(",;\t", key=heading.count)
        rows = csv.DictReader(file, delimiter=separator, skipinitialspace=True)
        for number, row in enumerate(rows, start=2):
            yield f"Line {number}", row


def _json_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    content = json.loads(path.read_text(encoding="utf-8-sig"))
    sections = content if isinstance(content, dict) else {"": content}
    for section, entries in sections.items():
        if section and section not in _SECTIONS:
            continue  # descriptions and the like
        if not isinstance(entries, list):
            raise ValueError("not an array of entries")
        for number, entry in enumerate(entries, start=1):
            values = dict(entry) if isinstance(entry, dict) else {"image": entry}
            part = {"split": _SECTIONS[section]} if section else {}
            yield f"Entry {number}{f' of {section}' if section else ''}", {**part, **values}


def _case(path: Path, where: str, row: Mapping[str, Any]) -> ListedCase:
    values = {key: str(row.get(key) or "").strip() for key in ("image", "label", "name", "patient")}
    if not values["image"] or not values["label"]:
        raise DataError(f"{where} lacks an image or a label.", f"Every entry has {COLUMNS}.")
    part = str(row.get("split") or "").strip()
    if part and part not in PARTS:
        raise DataError(f"{where}: split must be one of {', '.join(PARTS)}, got {part!r}.")
    image, label = path.parent / values["image"], path.parent / values["label"]
    return ListedCase(values["name"] or stem(image), image, label, part, values["patient"])
