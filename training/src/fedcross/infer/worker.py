"""The warm worker: ``python -m fedcross.infer --worker`` stays for the next volume.

It reads one request a line on stdin, a JSON array of the words that would stand on the command line
(``["--bundle", "B", "--image", "I", "--out", "D"]``), and answers each with the events of
`fedcross.infer.events` on stdout, of which the last is the one ``result`` or ``error``. Imports and the
models of the last bundle are kept, so that the next answer begins at once.

It ends by itself when it has been idle for long, when its memory does not come back down after an
answer, and at once, also in the middle of a volume, when stdin is closed or its parent is gone. It
listens to nothing else. To cancel a request, kill it: results are whole or not there.
"""

import _thread
import argparse
import gc
import json
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fedcross.errors import ConfigError
from fedcross.infer.answer import EXIT_DONE, EXIT_INTERRUPTED, answer, events_on_stdout
from fedcross.infer.warm import WarmModels
from fedcross.runtime.memory import resident_bytes

if TYPE_CHECKING:
    from fedcross.infer.segment import SegmentRequest

IDLE_S = 600.0
MEMORY_MB = 3000
LOOK_S = 0.5
GRACE_S = 2.0
STDIN = 0

Parse = Callable[[Sequence[str]], "SegmentRequest"]


def work(arguments: Sequence[str], parse: Parse) -> int:
    """Answer requests until there is a reason to end; return the exit code.

    Parameters
    ----------
    arguments
        The words after ``--worker``: ``--idle-s`` seconds without a request after which it ends, and
        ``--memory-mb`` that it may hold (10^6 bytes) when it is idle.
    parse
        Turns a request's words into what is asked for.
    """
    parser = argparse.ArgumentParser(prog="python -m fedcross.infer --worker")
    parser.add_argument("--idle-s", type=float, default=IDLE_S)
    parser.add_argument("--memory-mb", type=int, default=MEMORY_MB)
    options = parser.parse_args(arguments)
    requests = _Requests()
    with events_on_stdout() as reporter, WarmModels() as models:
        try:
            while (line := requests.next(options.idle_s)) is not None:
                code = answer(lambda: _understood(line, parse), reporter, models=models)
                if code == EXIT_INTERRUPTED or _too_large(models, options.memory_mb * 10**6):
                    return code
                requests.answered()
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
    return EXIT_DONE


class _Requests:
    """Lines from stdin; sees to it that nothing goes on when nobody is there who could ask."""

    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._busy = self._over = False
        self._parent = os.getppid()
        for task in (self._read, self._watch_parent):
            threading.Thread(target=task, daemon=True).start()

    def next(self, idle_s: float) -> bytes | None:
        """Wait for a request; None when there will be none, or none came for so many seconds."""
        try:
            line = self._lines.get(timeout=idle_s)
        except queue.Empty:
            return None
        with self._lock:
            self._busy = line is not None and not self._over
        return line if self._busy else None

    def answered(self) -> None:
        """Say that the last request is done with."""
        with self._lock:
            self._busy = False

    def _read(self) -> None:
        # Without a buffer, whose lock this thread would still hold when the interpreter ends.
        with open(STDIN, "rb", buffering=0, closefd=False) as stream:
            while (line := stream.readline()).endswith(b"\n"):  # half a line is nobody's request
                self._lines.put(line)
        self._end()

    def _watch_parent(self) -> None:
        """See that the parent dies, even if a process of its own still holds our stdin open."""
        while os.getppid() == self._parent:
            time.sleep(LOOK_S)
        self._end()

    def _end(self) -> None:
        """Wake whoever waits, interrupt whoever works, and end the hard way if that is of no use."""
        with self._lock:
            if self._over:
                return  # stdin was closed because the parent is gone
            self._over = True
            if self._busy:
                _thread.interrupt_main(signal.SIGTERM)
        self._lines.put(None)
        time.sleep(GRACE_S)
        os._exit(EXIT_INTERRUPTED)


def _understood(line: bytes, parse: Parse) -> "SegmentRequest":
    """Return what a line asks for.

    Raises
    ------
    ConfigError
        If it is not an array of words, or they are wrong.
    """
    try:
        words = json.loads(line)
    except ValueError as error:
        raise ConfigError("The request is not JSON.", "Send an array of words a line.") from error
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ConfigError("The request is not an array of words.", "Send one a line.")
    try:
        return parse(words)
    except SystemExit as error:  # of --help, which a worker has nobody to show to
        raise ConfigError("The request asks for help.", "Ask without --worker.") from error


def _too_large(models: WarmModels, limit_bytes: int) -> bool:
    """Whether the process stays too large; the models are let go of if that helps."""
    gc.collect()
    if resident_bytes() <= limit_bytes:
        return False
    models.forget()
    gc.collect()
    return resident_bytes() > limit_bytes
