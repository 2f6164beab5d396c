"""Write a configuration as TOML, with a reason beside the values that have one."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Reasons = Mapping[tuple[str, str], str]


def write_toml(values: Mapping[str, Any], reasons: Reasons, head: Sequence[str] = ()) -> str:
    """Return a configuration as TOML.

    Parameters
    ----------
    values
        Values of the top level, and sections as mappings or sequences of mappings. None is left out.
    reasons
        (section, key) to the comment beside the value; one line each.
    head
        Comment lines at the top.
    """
    lines = [f"# {line}".rstrip() for line in head]
    tables = {name: value for name, value in values.items() if _is_table(value)}
    lines += _pairs(
        {name: value for name, value in values.items() if name not in tables}, "", reasons
    )
    for name, value in tables.items():
        each = [value] if isinstance(value, Mapping) else value
        bracket = "[{}]" if isinstance(value, Mapping) else "[[{}]]"
        for table in each:
            lines += ["", bracket.format(_key(name)), *_pairs(table, name, reasons)]
    return "\n".join(lines) + "\n"


def _is_table(value: Any) -> bool:
    if isinstance(value, Mapping):
        return True
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return is_list and len(value) > 0 and all(isinstance(each, Mapping) for each in value)


def _pairs(table: Mapping[str, Any], section: str, reasons: Reasons) -> Iterator[str]:
    for key, value in table.items():
        if value is not None:
            reason = reasons.get((section, key))
            yield f"{_key(key)} = {_value(value)}" + (f"  # {reason}" if reason else "")


def _key(name: Any) -> str:
    text = str(name)
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else _string(text)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = (f"{_key(key)} = {_value(each)}" for key, each in value.items() if each is not None)
        return "{ " + ", ".join(pairs) + " }"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(_value, value))}]"
    return _string(str(value))


def _string(text: str) -> str:
    """Return a basic string of TOML; its escapes are those of JSON, and it forbids DEL as well."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
