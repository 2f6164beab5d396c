"""Writes the events of `fedcross.contract.events` to stdout."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import TextIO

from fedcross.contract.events import (
    Event,
    LogEvent,
    ProgressEvent,
    StageEvent,
    WarningEvent,
    event_line,
)


class JsonReporter:
    """Writes each event as one line of JSON; a `fedcross.runtime.reporting.Reporter`.

    Parameters
    ----------
    stream
        Receives the lines. If its reader is gone, the next event raises `BrokenPipeError`.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def stage(self, name: str, message: str) -> None:
        """Write a ``stage`` event."""
        self.write(StageEvent(name, message))

    def progress(self, done: int, total: int, stage: str) -> None:
        """Write a ``progress`` event."""
        self.write(ProgressEvent(done, total, stage))

    def log(self, message: str) -> None:
        """Write a ``log`` event."""
        self.write(LogEvent(message))

    def warning(self, message: str) -> None:
        """Write a ``warning`` event."""
        self.write(WarningEvent(message))

    def write(self, event: Event) -> None:
        """Write an event and flush the stream."""
        self._stream.write(event_line(event))
        self._stream.flush()


@contextmanager
def events_on_stdout() -> Iterator[JsonReporter]:
    """Reserve stdout for events: what else is printed, also by C libraries, goes to stderr."""
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    stream = open(saved, "w", encoding="utf-8", newline="\n", closefd=False)  # noqa: SIM115
    try:
        with redirect_stdout(sys.stderr):
            yield JsonReporter(stream)
    finally:
        os.dup2(saved, 1)
        with suppress(BrokenPipeError):  # its reader is gone, and its buffer is not empty
            stream.close()
        os.close(saved)
