"""Parse JSON and TOML from an unknown source: whatever is wrong with the text is a `ValueError`.

The parsers of the standard library raise a `RecursionError` for values that are nested too deeply.
"""

import json
import tomllib
from typing import Any

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
