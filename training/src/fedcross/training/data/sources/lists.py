"""A list of cases in a file: CSV with a heading line, or JSON in the form of MONAI's data lists."""

import codecs
import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fedcross.contract.parse import parse_json
from fedcross.errors import DataError
from fedcross.training.data.sources.folders import stem
from fedcross.training.data.splits import PARTS

COLUMNS = (
    "image, label and optionally name, patient and split; and image:NAME for a further channel"
)
_SEPARATOR = re.compile(r"sep=(.)", re.IGNORECASE)
"""First line by which Excel declares the separator of the columns."""
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
        part, has no name, or has the name of an earlier one. The message gives the line or entry number.
    """
    try:
        text = _decode(path.read_bytes())
        rows = list(_json_rows(text) if path.suffix.lower() == ".json" else _csv_rows(text))
    except FileNotFoundError as error:
        raise DataError(f"There is no list named {path.name}.", "Check the path.") from error
    except OSError as error:
        raise DataError(f"The list {path.name} cannot be read: {error.strerror}.") from error
    except (ValueError, csv.Error) as error:
        raise DataError(f"The list {path.name} cannot be read.", f"It needs {COLUMNS}.") from error
    if not rows:
        raise DataError(f"The list {path.name} names no cases.", f"It needs {COLUMNS}.")
    cases: dict[str, ListedCase] = {}
    listed = [
        (place, _case(path, f"{place} of the list {path.name}", row, channels))
        for place, row in rows
    ]
    for place, case in _with_names(listed, path.parent):
        if not case.name:
            raise DataError(
                f"{place} of the list {path.name} has no name: its image has nothing but a suffix.",
                "Give it a name in the column name.",
            )
        if case.name in cases:
            raise DataError(
                f"{place} of the list {path.name} names the case {case.name} a second time.",
                "Give it another name in the column name.",
            )
        cases[case.name] = case
    return list(cases.values())


def _decode(content: bytes) -> str:
    """Return the text of a list in UTF-8, in UTF-16 with a byte-order mark, or as Windows saves it."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252")


def _csv_rows(text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    lines = io.StringIO(text, newline="").readlines()
    first = next((index for index, line in enumerate(lines) if line.strip()), len(lines))
    declared = _SEPARATOR.fullmatch(lines[first].strip()) if first < len(lines) else None
    if declared:
        first += 1
    heading = lines[first] if first < len(lines) else ""
    # Spreadsheets separate columns differently by country.
    separator = declared[1] if declared else max(",;\t", key=heading.count)
    rows = csv.DictReader(lines[first:], delimiter=separator, skipinitialspace=True)
    for row in rows:
        if any(str(value or "").strip() for column, value in row.items() if column):
            yield f"Line {first + rows.line_num}", row


def _json_rows(text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    content = parse_json(text)
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
    image, *further = (find_listed(path.parent, image) for image in images)
    return ListedCase(
        values["name"],
        image,
        find_listed(path.parent, values["label"]),
        part,
        values["patient"],
        tuple(further),
    )


def _with_names(
    listed: Sequence[tuple[str, ListedCase]], folder: Path
) -> Iterator[tuple[str, ListedCase]]:
    """Name the cases without a name after their files, and after folders if files are named alike."""
    stems = Counter(stem(case.image) for _, case in listed if not case.name)
    for place, case in listed:
        if case.name:
            yield place, case
            continue
        name, above = stem(case.image), case.image.parent
        is_alone = stems[name] == 1 or above == folder
        yield place, replace(case, name=name if is_alone else f"{above.name}-{name}")


def find_listed(folder: Path, name: str) -> Path:
    """Return the file that a list names, also if it was written on another system.

    Parameters
    ----------
    folder
        Folder of the list.
    name
        Path relative to the folder. If there is no such file, backslashes are tried as slashes, and
        accented letters in their other Unicode form, which macOS uses.

    Returns
    -------
    Path
        The first that exists; the path as it is named if none does.
    """
    slashes = name.replace("\\", "/")
    forms = (unicodedata.normalize(form, slashes) for form in ("NFC", "NFD"))
    candidates = [folder / each for each in (name, slashes, *forms)]
    return next((path for path in candidates if _exists(path)), candidates[0])


def _exists(path: Path) -> bool:
    """Return whether a path exists; a name that no file can have does not."""
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or with a null character
        return False


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
