"""Lines of limited length from the pipe of a child process, read by a thread that can be stopped."""

import os
import select
import sys
from collections.abc import Callable, Iterator
from typing import IO

CHUNK = 65536
WAIT_S = 0.2
"""Seconds between two looks at whether the reading is to stop."""


def readLines(
    stream: IO[bytes], maxBytes: int, isStopped: Callable[[], bool] = lambda: False
) -> Iterator[str]:
    """Yield the lines of a pipe without their ends, until the pipe is closed or the reading is stopped.

    Parameters
    ----------
    stream
        The pipe, unbuffered or not yet read from; it is closed at the end.
    maxBytes
        Longest part of a line that is kept; the rest of a longer line is skipped.
    isStopped
        Returns whether to stop. A process that the child has started can hold the pipe open for ever,
        and the thread would wait for it. On Windows a pipe cannot be watched, so the thread waits.
    """
    with stream:
        pending, isTooLong = bytearray(), False
        while data := _read(stream.fileno(), isStopped):
            *ended, rest = data.split(b"\n")
            for part in ended:
                pending += b"" if isTooLong else part[: maxBytes - len(pending)]
                yield pending.decode("utf-8", errors="replace").rstrip("\r")
                pending, isTooLong = bytearray(), False
            pending += b"" if isTooLong else rest[: maxBytes - len(pending)]
            isTooLong = len(pending) >= maxBytes
        if pending:
            yield pending.decode("utf-8", errors="replace")


def _read(descriptor: int, isStopped: Callable[[], bool]) -> bytes:
    """Return some bytes; none at the end of the stream, or if the reading is stopped."""
    if sys.platform != "win32":
        while not select.select([descriptor], [], [], WAIT_S)[0]:
            if isStopped():
                return b""
    return os.read(descriptor, CHUNK)
