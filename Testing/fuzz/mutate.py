"""Changes of bytes, of lines and of JSON values, drawn by hypothesis."""

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

NUMBERS = (
    b"nan",
    b"-inf",
    b"1e999",
    b"1e-999",
    b"-1",
    b"0",
    b"99999999999",
    b"\xff" * 4,
    b"\0" * 8,
)
DEEP = 200_000
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1, 2, 255, 256, 2**31, 2**70, 0.5, -0.0, 1e-300, 1e300),
    *(float("nan"), float("inf"), "", " ", "a", "nan", "../../x", "/etc/passwd", "a" * 5000),
    *("\x1b[2J", "\u202eabc", "=1+1", "[bold]", "\ud800", "\0", [], {}, [0], [[]], {"a": 1}),
    *([1] * 1000, {"": None}, "0" * 64, "@deep@"),
)
"""Values that take the place of others; `dump_json` makes nested lists of the last one."""
_DEPTHS = (150, 400, 900, 3000)
Draw = st.DrawFn


def change(draw: Draw, data: bytes, *, start: int = 0) -> bytes:
    """Change one to three places from byte `start` on: a bit, a byte, a number, or some bytes."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(min(start, len(changed)), max(len(changed) - 1, start)))
        kind = draw(st.sampled_from(("bit", "byte", "remove", "insert", "number", "cut", "copy")))
        if kind == "bit":
            changed[place : place + 1] = bytes(
                byte ^ 1 << draw(st.integers(0, 7)) for byte in changed[place : place + 1]
            )
        elif kind == "byte":
            changed[place : place + 1] = bytes([draw(st.integers(0, 255))])
        elif kind == "remove":
            del changed[place : place + draw(st.integers(1, 9))]
        elif kind == "insert":
            changed[place:place] = draw(st.binary(min_size=1, max_size=9))
        elif kind == "number":
            value = draw(st.sampled_from(NUMBERS))
            changed[place : place + len(value)] = value
        elif kind == "cut":
            del changed[place:]
        else:
            length = draw(st.integers(1, 64))
            changed[place:place] = changed[place : place + length]
    return bytes(changed)


def change_lines(draw: Draw, text: str, values: Sequence[str]) -> str:
    """Change one to three lines ``key = value``: another value, removed, doubled, moved."""
    lines = text.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(len(lines) - 1, 0)))
        kind = draw(st.sampled_from(("value", "value", "remove", "double", "move", "key")))
        line = lines[place] if lines else ""
        if kind == "value":
            lines[place : place + 1] = [
                f"{line.partition('=')[0]}= {draw(st.sampled_from(values))}"
            ]
        elif kind == "remove":
            del lines[place : place + 1]
        elif kind == "double":
            lines.insert(place, line)
        elif kind == "move":
            lines.insert(draw(st.integers(0, len(lines))), line)
            del lines[place : place + 1]
        else:
            lines[place : place + 1] = [draw(st.text(max_size=5)) + line]
    return "\n".join(lines) + "\n"


def change_json(draw: Draw, content: Any) -> Any:
    """Return a copy of a JSON value in which one to three values are replaced, removed or doubled."""
    changed = copy.deepcopy(content)
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 3)))):
        places = list(_places(changed))
        if not places:
            return changed
        parent, key = draw(st.sampled_from(places))
        kind = draw(st.sampled_from(("value", "value", "remove", "double", "number", "swap")))
        if kind == "value":
            parent[key] = copy.deepcopy(draw(st.sampled_from(VALUES)))
        elif kind == "remove":
            del parent[key]
        elif kind == "double":
            _double(parent, key)
        elif kind == "number":
            parent[key] = draw(st.integers() | st.floats() | st.text(max_size=20))
        else:
            other, other_key = draw(st.sampled_from(places))
            parent[key] = copy.deepcopy(other[other_key])
    return changed


def dump_json(draw: Draw, content: Any) -> bytes:
    """Return a JSON value as bytes, rarely below many brackets, and rarely with a changed byte."""
    text = json.dumps(content).encode()
    if (mark := b'"@deep@"') in text:
        depth = draw(st.sampled_from(_DEPTHS))
        text = text.replace(mark, b"[" * depth + b"]" * depth)
    kind = draw(st.sampled_from(("plain",) * 8 + ("deep", "bytes")))
    if kind == "deep":
        return b"[" * DEEP + text
    return change(draw, text) if kind == "bytes" else text


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    """All values below the top: the container and the key of each."""
    pairs: Sequence[tuple[Any, Any]] = ()
    if isinstance(content, dict):
        pairs = list(content.items())
    elif isinstance(content, list):
        pairs = list(enumerate(content))
    for key, value in pairs:
        yield content, key
        yield from _places(value)


def _double(parent: Any, key: Any) -> None:
    if isinstance(parent, list):
        parent.insert(key, copy.deepcopy(parent[key]))
    else:
        parent[f"{key}2"] = copy.deepcopy(parent[key])


def composite(function: Callable[[Draw], Any]) -> st.SearchStrategy[Any]:
    """Return the strategy of a function that draws."""
    return st.composite(function)()
