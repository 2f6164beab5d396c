"""A file that lists cases: CSV with a heading line, or JSON in the form of MONAI's data lists."""

import codecs
import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fedcross.contract.parse import parse_json
from fedcross.contract.volume_names import stem
from fedcross.errors import DataError
from fedcross.runtime.files.whole_file import read_file

_SEPARATOR = re.compile(r"sep=(.)", re.IGNORECASE)
"""First line by which Excel declares the separator of the columns."""
SECTIONS: Mapping[str, str] = {
    "training": "train",
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "testing": "test",
    "test": "test",
}
"""Names of the arrays in data lists of MONAI and others, and the part of the cases in them."""


def read_rows(path: Path, columns: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Read the entries of a list file.

    Parameters
    ----------
    path
        A ``.json`` file is an array of objects, or an object with arrays named as in `SECTIONS`. Any
        other file is read as CSV with commas, semicolons or tabs.
    columns
        Which columns it needs, in words, for error messages.

    Returns
    -------
    list of tuple
        Where each entry stands, for error messages, and its values by column, at least one entry. The
        columns have their names in lower case, without spaces around them. An entry of a section has
        its part as ``split``.

    Raises
    ------
    DataError
        If the file cannot be read or has no entry, two columns have one name, or a line has more values
        than the heading.
    """
    try:
        text = _decode(read_file(path))
        rows = list(
            _json_rows(text) if path.suffix.lower() == ".json" else _csv_rows(text, path.name)
        )
    except FileNotFoundError as error:
        raise DataError(f"There is no list named {path.name}.", "Check the path.") from error
    except OSError as error:
        raise DataError(f"The list {path.name} cannot be read: {error.strerror}.") from error
    except (ValueError, csv.Error) as error:
        raise DataError(f"The list {path.name} cannot be read.", f"It needs {columns}.") from error
    if any("\0" in str(part) for _, row in rows for part in (*row, *row.values())):
        raise DataError(
            f"The list {path.name} has null characters, as text in UTF-16 often has.",
            "Save it in UTF-8.",
        )
    if not rows:
        raise DataError(f"The list {path.name} names no cases.", f"It needs {columns}.")
    return [(f"{place} of the list {path.name}", row) for place, row in rows]


def name_cases(listed: Sequence[tuple[str, Path]], folder: Path) -> list[str]:
    """Return the names of cases.

    Parameters
    ----------
    listed
        Name of each case, and its (first) image. A case whose name is empty is named after its file;
        after its folder, too, if files in several folders are named alike.
    folder
        Folder of the list.
    """
    stems = Counter(stem(image) for name, image in listed if not name)
    names = []
    for name, image in listed:
        short, above = stem(image), image.parent
        is_alone = stems[short] == 1 or above == folder
        names.append(name or (short if is_alone else f"{above.name}-{short}"))
    return names


def check_unique(names: Sequence[str], places: Sequence[str]) -> None:
    """Raise `DataError` if a case has no name or that of an earlier one; the message has the place."""
    seen = set()
    for name, place in zip(names, places, strict=True):
        if not name:
            raise DataError(
                f"{place} has no name: its image has nothing but a suffix.",
                "Give it a name in the column name.",
            )
        if name in seen:
            raise DataError(
                f"{place} names the case {name} a second time.",
                "Give it another name in the column name.",
            )
        seen.add(name)


def _decode(content: bytes) -> str:
    """Return the text of a list in UTF-8, in UTF-16 with a byte-order mark, or as Windows saves it."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252")


def _csv_rows(text: str, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    lines = io.StringIO(text, newline="").readlines()
    first = next((index for index, line in enumerate(lines) if line.strip()), len(lines))
    declared = _SEPARATOR.fullmatch(lines[first].strip()) if first < len(lines) else None
    if declared:
        first += 1
    heading = lines[first] if first < len(lines) else ""
    # Spreadsheets separate columns differently by country.
    separator = declared[1] if declared else max(",;\t", key=heading.count)
    rows = csv.DictReader(lines[first:], delimiter=separator, skipinitialspace=True)
    columns = [_column(each) for each in rows.fieldnames or ()]
    twice = [each for each, count in Counter(filter(None, columns)).items() if count > 1]
    if twice:
        raise DataError(f"The list {name} has two columns named {twice[0]}.", "Remove one of them.")
    rows.fieldnames = columns
    for row in rows:
        place, further = f"Line {first + rows.line_num}", row.pop(None, ())
        if any(map(str.strip, further)):
            raise DataError(
                f"{place} of the list {name} has {len(columns) + len(further)} values for "
                f"{len(columns)} columns.",
                "Put a value that contains the separator in quotation marks.",
            )
        if any(str(value or "").strip() for column, value in row.items() if column):
            yield place, row


def _column(name: str) -> str:
    """The name of a column, as `read_rows` returns it."""
    return name.strip().casefold()


def _json_rows(text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    content = parse_json(text)
    sections = content if isinstance(content, dict) else {"": content}
    for section, entries in sections.items():
        if section and section not in SECTIONS:
            continue  # other keys, for example a description
        if not isinstance(entries, list):
            raise ValueError("not an array of entries")
        for number, entry in enumerate(entries, start=1):
            values = {"image": entry}
            if isinstance(entry, dict):
                values = {_column(key): value for key, value in entry.items()}
            part = {"split": SECTIONS[section]} if section else {}
            yield f"Entry {number}{f' of {section}' if section else ''}", {**part, **values}


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


def listed_images(where: str, row: Mapping[str, Any], channels: Sequence[str]) -> list[str]:
    """Return the image of each channel as in the list; the first may be empty."""
    first = row.get("image") or row.get(f"image:{channels[0].casefold()}")
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
        images.append(str(row.get(f"image:{name.casefold()}") or "").strip())
        if not images[-1]:
            raise DataError(
                f"{where} lacks the image for {name}.", f"Give it in the column image:{name}."
            )
    return images
