"""The output of a command whose reader has gone away, as after ``fedcross ... | head -1``."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Pipe(io.FileIO):
    """A stream that drops what is written after its reader has gone away."""

    has_reader = True

    def write(self, data: "ReadableBuffer") -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            self.has_reader = False
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())  # also for what libraries and child processes write
            os.close(nowhere)
            return memoryview(data).nbytes


class Output:
    """Standard output and standard error during `output_without_reader`."""

    def __init__(self) -> None:
        self._pipes: list[_Pipe] = []

    @property
    def has_readers(self) -> bool:
        """Whether everything that was flushed had a reader."""
        return all(pipe.has_reader for pipe in self._pipes)

    def wrap(self, stream: TextIO) -> TextIO:
        """Return a stream that writes to the same file and drops what nobody reads."""
        pipe = _Pipe(stream.fileno(), "w", closefd=False)
        self._pipes.append(pipe)
        return io.TextIOWrapper(
            io.BufferedWriter(pipe),
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=stream.isatty() or stream is sys.__stderr__,
        )


@contextmanager
def output_without_reader() -> Iterator[Output]:
    """Let the block write to stdout and stderr after their readers have gone away; nothing is raised.

    So a command goes on and completes its files. Streams that a caller has replaced stay as they are.
    """
    output, before = Output(), (sys.stdout, sys.stderr)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)  # None where a program has no console
        if stream is not None and stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, output.wrap(stream))
    try:
        yield output
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        sys.stdout, sys.stderr = before
