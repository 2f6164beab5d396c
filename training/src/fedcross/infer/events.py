"""What an inference says while it runs: stages, progress, and in the end a result or an error.

`JsonReporter` is the language of the child process: one JSON object a line, ASCII only::

    {"event": "stage", "stage": "read", "message": "Reading the volume"}
    {"event": "progress", "done": 12, "total": 96, "stage": "ensemble"}
    {"event": "log", "message": "..."}
    {"event": "result", "files": {"segmentation": "segmentation.seg.nrrd"}, "summary": "summary.json"}
    {"event": "error", "type": "DataError", "message": "...", "hint": "..."}

Exactly one ``result`` or one ``error`` ends the stream.
"""

import json
from collections.abc import Mapping
from typing import TextIO


class JsonReporter:
    """One JSON object a line, flushed at once; a `fedcross.runtime.reporting.Reporter` with two closing events.

    Parameters
    ----------
    stream
        Where the lines go. If its reader has gone away, the next event raises `BrokenPipeError`.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def stage(self, name: str, message: str) -> None:
        """Emit a ``stage`` event."""
        self._emit(event="stage", stage=name, message=message)

    def progress(self, done: int, total: int, stage: str) -> None:
        """Emit a ``progress`` event."""
        self._emit(event="progress", done=done, total=total, stage=stage)

    def log(self, message: str) -> None:
        """Emit a ``log`` event."""
        self._emit(event="log", message=message)

    def result(self, files: Mapping[str, str], summary: str) -> None:
        """Say that all is written; names are relative to the output folder."""
        self._emit(event="result", files=dict(files), summary=summary)

    def error(self, kind: str, message: str, hint: str) -> None:
        """Say that it failed: the error's type, one sentence, and what to do."""
        self._emit(event="error", type=kind, message=message, hint=hint)

    def _emit(self, **fields: object) -> None:
        self._stream.write(json.dumps(fields) + "\n")
        self._stream.flush()
