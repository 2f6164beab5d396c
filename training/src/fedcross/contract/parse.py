"""Parse JSON and TOML from an unknown source: whatever is wrong with the text is a `ValueError`.

The parsers of the standard library raise a `RecursionError` for values that are nested too deeply.
"""

import json
import re
import tomllib
from typing import Any

QUOTES = tuple("“”„‟‘’‚«»")
"""Quotation marks that word processors put in the place of straight ones."""

TOO_DEEP = "values are nested too deeply"


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises
    ------
    ValueError
        If it is no JSON, is not UTF-8, or is nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error


def parse_toml(text: str) -> dict[str, Any]:
    """Return the sections and keys of a TOML text.

    Raises
    ------
    ValueError
        If it is no TOML, holds a number that is too long, or is nested too deeply.
    """
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{error}{_what_is_there(text, str(error))}") from error


def _what_is_there(text: str, message: str) -> str:
    """Name the cause that word processors and Windows give: other quotation marks, backslashes."""
    if "Unescaped" in message:
        return "; in a path, write / in place of a backslash"
    place = re.search(r"at line (\d+), column (\d+)", message)
    if place is None:
        return ""
    line = text.replace("\r\n", "\n").split("\n")[int(place[1]) - 1]
    found = line[int(place[2]) - 1 :][:1]
    return f"; quotation marks must be straight, got {found}" if found in QUOTES else ""
