"""The warm worker: ``python -m fedcross.infer --worker`` segments one volume after another.

It reads one request a line from stdin, a JSON array of the words of a command line
(``["--bundle", "B", "--image", "I", "--out", "D"]``), and answers each with events on stdout, the
last of which is the only ``result`` or ``error``. Imports and the models of the last bundle are kept,
so that the next request starts computing at once.

The process ends after some minutes without a request, and after an answer if its memory remains
large. It ends at once, even while it computes, when stdin is closed or its parent process has ended.
To cancel a request, kill the process: results are written whole or not at all.
"""

import _thread
import argparse
import gc
import io
import os
import queue
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import redirect_stdout

from fedcross.contract.exits import DONE, INTERRUPTED
from fedcross.contract.parse import parse_json
from fedcross.contract.request import MODULE, WORKER_FLAG, SegmentRequest, parse_request
from fedcross.errors import ConfigError
from fedcross.infer.child.answer import answer
from fedcross.infer.child.events import events_on_stdout
from fedcross.infer.warm import WarmModels
from fedcross.runtime.memory import resident_bytes

IDLE_S = 600.0
MEMORY_MB = 3000
PARENT_CHECK_S = 0.5
GRACE_S = 2.0
STDIN = 0
MAX_REQUEST_BYTES = 1_000_000
"""Longest request; after a longer one the process ends."""


def work(arguments: Sequence[str]) -> int:
    """Answer requests until there is a reason to end; return the exit code.

    Parameters
    ----------
    arguments
        The words after ``--worker``: ``--idle-s``, seconds without a request after which the process
        ends, and ``--memory-mb``, what it may hold without a request (10^6 bytes).
    """
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE} {WORKER_FLAG}")
    parser.add_argument("--idle-s", type=float, default=IDLE_S)
    parser.add_argument("--memory-mb", type=int, default=MEMORY_MB)
    options = parser.parse_args(arguments)
    requests = _Requests()
    with events_on_stdout() as reporter, WarmModels() as models:
        try:
            while (line := requests.next(options.idle_s)) is not None:
                code = answer(lambda: read_request(line), reporter, models=models)
                if code == INTERRUPTED or _is_too_large(models, options.memory_mb * 10**6):
                    return code
                requests.finish()
        except KeyboardInterrupt:
            return INTERRUPTED
    return DONE


def read_request(line: bytes) -> SegmentRequest:
    """Return the request in a line.

    Raises
    ------
    ConfigError
        If it is not an array of words, or they are wrong.
    """
    try:
        words = parse_json(line)
    except ValueError as error:
        raise ConfigError("The request is not JSON.", "Send an array of words a line.") from error
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ConfigError("The request is not an array of words.", "Send one a line.")
    try:
        with redirect_stdout(io.StringIO()):  # of --help, which prints and exits
            return parse_request(words)
    except SystemExit as error:
        raise ConfigError("The request asks for help.", f"Ask without {WORKER_FLAG}.") from error


class _Requests:
    """Lines from stdin. Ends the process when stdin is closed or the parent process has ended."""

    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._busy = self._ended = False
        self._parent = os.getppid()
        for task in (self._read, self._watch_parent):
            threading.Thread(target=task, daemon=True).start()

    def next(self, idle_s: float) -> bytes | None:
        """Wait for a request; None if there will be none, or none came for so many seconds."""
        try:
            line = self._lines.get(timeout=idle_s)
        except queue.Empty:
            return None
        with self._lock:
            self._busy = line is not None and not self._ended
        return line if self._busy else None

    def finish(self) -> None:
        """Mark the last request as answered."""
        with self._lock:
            self._busy = False

    def _read(self) -> None:
        # Unbuffered: this thread would still hold a buffer's lock when the interpreter ends.
        with open(STDIN, "rb", buffering=0, closefd=False) as stream:
            # Half a line is no request; nor is one without end.
            while (line := stream.readline(MAX_REQUEST_BYTES)).endswith(b"\n"):
                self._lines.put(line)
        self._end()

    def _watch_parent(self) -> None:
        """Detect that the parent has ended, even if another process still holds our stdin open."""
        while os.getppid() == self._parent:
            time.sleep(PARENT_CHECK_S)
        self._end()

    def _end(self) -> None:
        """Interrupt the main thread, and end the process if the thread does not react."""
        with self._lock:
            if self._ended:
                return  # stdin was closed because the parent ended
            self._ended = True
            if self._busy:
                _thread.interrupt_main(signal.SIGTERM)
        self._lines.put(None)
        time.sleep(GRACE_S)
        os._exit(INTERRUPTED)


def _is_too_large(models: WarmModels, limit_bytes: int) -> bool:
    """Return whether the process is too large even after the models were released."""
    gc.collect()
    if resident_bytes() <= limit_bytes:
        return False
    models.release()
    gc.collect()
    return resident_bytes() > limit_bytes
