"""A list of cases in a file: CSV with a heading line, or JSON in the form of MONAI's data lists."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedcross.errors import DataError
from fedcross.train.data.sources.folders import stem
from fedcross.train.data.splits import PARTS

COLUMNS = "image, label and optionally name, patient and split"
# Names of the parts in data lists of MONAI and others.
_SECTIONS = {"training": "train", "testing": "test", **{part: part for part in PARTS}}


@dataclass(frozen=True)
class ListedCase:
    """One entry of a list; `part` and `patient` are empty if the entry does not give them."""

    name: str
    image: Path
    label: Path
    part: str
    patient: str


def read_list(path: Path) -> list[ListedCase]:
    """Read a list file; its paths are relative to its folder.

    Parameters
    ----------
    path
        A ``.json`` file is an array of objects, or an object with the arrays ``training`` (or
        ``train``), ``validation`` and ``testing`` (or ``test``). Any other file is read as CSV with
        commas, semicolons or tabs.

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
        case = _case(path, f"{place} of the list {path.name}", row)
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


def _case(path: Path, where: str, row: Mapping[str, Any]) -> ListedCase:
    values = {key: str(row.get(key) or "").strip() for key in ("image", "label", "name", "patient")}
    if not values["image"] or not values["label"]:
        raise DataError(f"{where} lacks an image or a label.", f"Every entry needs {COLUMNS}.")
    part = str(row.get("split") or "").strip()
    if part and part not in PARTS:
        raise DataError(f"{where}: split must be one of {', '.join(PARTS)}, got {part!r}.")
    image, label = path.parent / values["image"], path.parent / values["label"]
    return ListedCase(values["name"] or stem(image), image, label, part, values["patient"])
