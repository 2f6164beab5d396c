"""A process that calls a function for one case after another, and keeps the models in memory.

The functions are those of the evaluation and of the calibration. Function, case and outcome are passed
between this process and its own child alone.
"""

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from fedcross.contract.exits import INTERRUPTED
from fedcross.errors import DeviceError, FedCrossError
from fedcross.infer.warm import WarmModels
from fedcross.runtime.plugins import allow_plugins, allowed_plugins


class FunctionWorker:
    """Calls functions in a process of its own, which is started with the first call.

    The process may use all processors: with fewer threads the last digits of the networks' outputs
    would be others than in this process.
    """

    def __init__(self) -> None:
        self._running: tuple[SpawnProcess, Connection] | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    def call(self, function: Callable[[Any, Any], Any], case: Any) -> Any:
        """Return ``function(case, models)``, computed in the process.

        Parameters
        ----------
        function
            A function of a module, or a partial call of one. The second argument is a
            `fedcross.infer.warm.WarmModels` that the process keeps.
        case
            The first argument.

        Raises
        ------
        FedCrossError
            What the function raises, or if the process has ended.
        RuntimeError
            For any other error of the function.
        """
        running = self._start()
        if running is None:
            raise DeviceError("Interrupted.")
        process, connection = running
        try:
            connection.send((function, case))
            answer = connection.recv()
        except (EOFError, OSError) as error:
            process.join()
            raise DeviceError(
                f"A process that computes cases has ended with code {process.exitcode}, as it does when "
                "memory runs out.",
                "Use fewer workers. A Python script that uses several workers needs the line "
                'if __name__ == "__main__": above its calls.',
            ) from error
        if isinstance(answer, BaseException):
            raise answer
        return answer[0]

    def close(self) -> None:
        """End the process at once, also while `call` waits for it in another thread."""
        with self._lock:
            self._is_closed, running = True, self._running
        if running is not None:
            process, _ = running
            process.kill()
            process.join()

    def _start(self) -> tuple[SpawnProcess, Connection] | None:
        """Return the process and its connection, started if there is none; None after `close`."""
        with self._lock:
            if self._running is None and not self._is_closed:
                context = multiprocessing.get_context("spawn")
                ours, theirs = context.Pipe()
                process = context.Process(
                    target=serve,
                    args=(theirs, tuple(allowed_plugins())),
                    daemon=True,
                )
                with _block_interrupts():
                    process.start()
                theirs.close()
                self._running = process, ours
            return None if self._is_closed else self._running


def serve(connection: Connection, plugins: Collection[str]) -> None:
    """Answer calls in the child process until the connection is closed.

    Parameters
    ----------
    connection
        Brings pairs (function, case); takes a tuple of one outcome, or an exception.
    plugins
        Packages whose code may be used.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process after Ctrl-C
    threading.Thread(target=_end_with_parent, daemon=True).start()
    allow_plugins(*plugins)
    with WarmModels() as models, suppress(EOFError):
        while True:
            function, case = connection.recv()
            connection.send(_answer(function, case, models))


def _answer(function: Callable[[Any, Any], Any], case: Any, models: Any) -> object:
    try:
        return (function(case, models),)
    except FedCrossError as error:
        return error
    except Exception as error:  # noqa: BLE001 - the parent raises it
        found = RuntimeError(f"{type(error).__name__}: {error}")
        found.add_note(traceback.format_exc())
        return found


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(INTERRUPTED)


@contextmanager
def _block_interrupts() -> Iterator[None]:
    """Block Ctrl-C inside, so that it does not end a process that starts there and will ignore it."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
