"""What the child process writes to stdout: one event a line, a JSON object in ASCII.

For example::

    {"event": "stage", "stage": "read", "message": "Reading the volume"}
    {"event": "progress", "done": 12, "total": 96, "stage": "ensemble"}
    {"event": "log", "message": "..."}
    {"event": "warning", "message": "..."}
    {"event": "result", "files": {"segmentation": "segmentation.seg.nrrd"}, "summary": "summary.json"}
    {"event": "error", "type": "DataError", "message": "...", "hint": "..."}

The last line is the only ``result`` or ``error``.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from fedcross.contract.parse import parse_json


@dataclass(frozen=True)
class StageEvent:
    """A stage begins: its name for programs, and a sentence for people."""

    stage: str
    message: str


@dataclass(frozen=True)
class ProgressEvent:
    """`done` of `total` steps of a stage are finished."""

    done: int
    total: int
    stage: str


@dataclass(frozen=True)
class LogEvent:
    """A sentence for people."""

    message: str


@dataclass(frozen=True)
class WarningEvent:
    """A sentence about the volume that a person should read; the computation goes on."""

    message: str


@dataclass(frozen=True)
class ResultEvent:
    """All is written.

    Attributes
    ----------
    files : dict
        Names relative to the result folder, by `fedcross.contract.files.file_kind`.
    summary : str
        Name of the summary's file.
    """

    files: dict[str, str]
    summary: str


@dataclass(frozen=True)
class ErrorEvent:
    """The request failed: the error's class, one sentence, and what to do (may be empty)."""

    type: str
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


Event = StageEvent | ProgressEvent | LogEvent | WarningEvent | ResultEvent | ErrorEvent
_EVENTS: Mapping[str, type[Event]] = {
    "stage": StageEvent,
    "progress": ProgressEvent,
    "log": LogEvent,
    "warning": WarningEvent,
    "result": ResultEvent,
    "error": ErrorEvent,
}
_NAMES = {kind: name for name, kind in _EVENTS.items()}
_KEY = "event"


def event_line(event: Event) -> str:
    """Return an event as one line, which ends with a line feed."""
    return json.dumps({_KEY: _NAMES[type(event)], **asdict(event)}) + "\n"


def read_event(line: str) -> Event | None:
    """Return the event in a line; None if the line is none: an unknown name, or a wrong value."""
    try:
        found = parse_json(line)
        kind = _EVENTS[found[_KEY]]
        values = {each.name: found[each.name] for each in fields(kind)}
    except (ValueError, TypeError, KeyError):
        return None
    expected = {"done": int, "total": int, "files": dict}
    if not all(isinstance(value, expected.get(name, str)) for name, value in values.items()):
        return None
    return kind(**values)
