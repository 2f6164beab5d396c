"""Signals: a request to terminate ends a program as Ctrl-C does."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


@contextmanager
def interrupt_on_terminate() -> Iterator[None]:
    """Raise KeyboardInterrupt in the block on SIGTERM, so that temporary files are removed.

    Further SIGTERMs are ignored until the block ends: they would interrupt the removal. In other
    threads than the main one, which cannot handle signals, SIGTERM keeps its effect.
    """

    def interrupt(number: int, frame: object) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
