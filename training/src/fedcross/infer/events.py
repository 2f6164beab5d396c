"""How a long job speaks: to a program in JSON lines, to a person through the command line's bars."""

import json
import sys
from typing import Protocol, TextIO


class Reporter(Protocol):
    """Hears what a job does."""

    def stage(self, name: str, message: str) -> None:
        """A stage begins: a short name for programs, a sentence for people."""

    def progress(self, done: int, total: int, stage: str) -> None:
        """``done`` of ``total`` steps of a stage are done."""

    def log(self, message: str) -> None:
        """A line worth keeping."""


class NullReporter:
    """Says nothing."""

    def stage(self, name: str, message: str) -> None:
        """Say nothing of the stage."""

    def progress(self, done: int, total: int, stage: str) -> None:
        """Say nothing of the progress."""

    def log(self, message: str) -> None:
        """Say nothing."""


class JsonReporter:
    """Writes one JSON object a line; `Reporter` and two closing events, ``result`` and ``error``.

    ========== ============================================================
    event      fields
    ========== ============================================================
    stage      stage, message
    progress   stage, done, total
    log        message
    result     files (names in the output folder), summary (file name)
    error      type, message, hint
    ========== ============================================================
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout

    def stage(self, name: str, message: str) -> None:
        """Write a ``stage`` event."""
        self._write(event="stage", stage=name, message=message)

    def progress(self, done: int, total: int, stage: str) -> None:
        """Write a ``progress`` event."""
        self._write(event="progress", stage=stage, done=done, total=total)

    def log(self, message: str) -> None:
        """Write a ``log`` event."""
        self._write(event="log", message=message)

    def result(self, files: list[str]) -> None:
        """Write the ``result`` event."""
        self._write(event="result", files=files, summary="summary.json")

    def error(self, kind: str, message: str, hint: str) -> None:
        """Write the ``error`` event."""
        self._write(event="error", type=kind, message=message, hint=hint)

    def _write(self, **fields: object) -> None:
        # ASCII only: no reader's locale can spoil it.
        self._stream.write(json.dumps(fields) + "\n")
        self._stream.flush()
