"""Signals: a request to terminate ends a program as Ctrl-C does, and both end it soon."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from fedcross.contract.exits import INTERRUPTED

GRACE_S = 1.5
"""Seconds that a program has after Ctrl-C before `end_soon_after_interrupt` ends it."""


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


@contextmanager
def end_soon_after_interrupt(grace_s: float = GRACE_S) -> Iterator[None]:
    """End the process if Ctrl-C or SIGTERM in the block has not ended the block after a while.

    Python handles a signal between two of its own instructions, and a library may compute for many
    seconds within one. What the process was writing stays under a hidden name, which the next writer
    removes (`fedcross.runtime.files.partial`). The exit code is that of an interrupted program. In
    other threads than the main one, which cannot handle signals, this has no effect.

    Parameters
    ----------
    grace_s
        Seconds between the signal and the end of the process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    is_over = threading.Event()

    def wait_for_signal() -> None:
        while number := reader.recv(1):
            if number[0] in (signal.SIGINT, signal.SIGTERM) and not is_over.wait(grace_s):
                os.write(2, b"\nInterrupted.\n" if os.isatty(2) else b"Interrupted.\n")
                os._exit(INTERRUPTED)

    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    thread = threading.Thread(target=wait_for_signal, name="interrupt", daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        is_over.set()
        writer.close()  # the thread reads the end of the stream
        thread.join()
        reader.close()
