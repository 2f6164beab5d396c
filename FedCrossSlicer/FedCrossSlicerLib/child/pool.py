"""Warm workers, so that the next volume starts at once. This module uses neither Qt nor MRML.

A pool keeps one idle worker at most. Two Slicers share only the cache folder of converted models. If a
worker dies during a request, the request is sent once more to a new worker. If a worker dies while it is
idle, the next request starts a new one.
"""

import atexit
from collections.abc import Callable, Mapping, Sequence

from slicer.i18n import tr as _

from fedcross.contract.events import Event
from fedcross.contract.request import WORKER_FLAG
from FedCrossSlicerLib.child.command import childCommand, childEnvironment
from FedCrossSlicerLib.child.worker import Worker
from FedCrossSlicerLib.errors import InferenceError


class WorkerRequest:
    """A request that a warm worker computes; it has the interface of `RunningRequest`.

    Parameters
    ----------
    acquire
        Returns an idle worker.
    release
        Receives the worker when the request has ended.
    arguments
        As on the command line of the child process.

    Raises
    ------
    InferenceError
        If no worker can be started.
    """

    def __init__(
        self,
        acquire: Callable[[], Worker],
        release: Callable[[Worker], None],
        arguments: Sequence[str],
    ) -> None:
        self._acquire, self._release, self._arguments = acquire, release, list(arguments)
        self._retried = self._ended = False
        self._events: list[Event] = []  # of a worker that this request has left
        self._logs: list[str] = []  # of the workers that this request has left
        self._failure: InferenceError | None = None
        self._worker = acquire()
        self._worker.send(self._arguments)

    @property
    def pid(self) -> int:
        """Process number of the worker."""
        return self._worker.pid

    @property
    def running(self) -> bool:
        """Whether the result or the error is still to come.

        If the worker has died without either, the request is sent once more to a new worker.
        """
        if self._ended:
            return False
        if not self._worker.finished and self._worker.running:
            return True
        if self._worker.finished or self._retried:
            self._end()
        else:
            self._retry()
        return not self._ended

    @property
    def log(self) -> str:
        """The output of the workers that was not an event."""
        current = "" if self._ended else self._worker.log
        return "\n".join(log for log in (*self._logs, current) if log)

    def events(self) -> list[Event]:
        """Return the events that arrived since the last call, oldest first, without waiting."""
        events, self._events = self._events, []
        return events if self._ended else events + self._worker.events()

    def cancel(self) -> None:
        """Kill the worker; after the result or the error this changes nothing."""
        if self._ended:
            return
        self._worker.cancel()
        self._end()

    def check(self) -> None:
        """Raise the error of the request, once it has ended.

        Raises
        ------
        InferenceError
            If the request failed or was cancelled.
        """
        if self._failure is not None:
            raise self._failure

    def _retry(self) -> None:
        self._retried = True
        self._saveOutput()
        self._logs.append(_("The segmentation process ended unexpectedly; it is started again."))
        self._worker.cancel()
        try:
            self._worker = self._acquire()
        except InferenceError as error:
            self._failure, self._ended = error, True
            return
        self._worker.send(self._arguments)

    def _end(self) -> None:
        """Save the outcome and release the worker, whose later output belongs to other requests."""
        try:
            self._worker.check()
        except InferenceError as error:
            self._failure = error
        self._saveOutput()
        self._ended = True
        if self._worker.finished and self._worker.alive:
            self._release(self._worker)
        else:
            self._worker.cancel()

    def _saveOutput(self) -> None:
        self._events += self._worker.events()
        self._logs.append(self._worker.log)


class WorkerPool:
    """Starts workers and keeps the worker that became idle last.

    Parameters
    ----------
    command
        Returns program and arguments of a worker.
    environment
        Returns the environment of a worker.
    """

    def __init__(
        self,
        command: Callable[[], Sequence[str]] = lambda: [*childCommand(), WORKER_FLAG],
        environment: Callable[[], Mapping[str, str]] = childEnvironment,
    ) -> None:
        self._command, self._environment = command, environment
        self._idle: Worker | None = None

    def start(self, arguments: Sequence[str]) -> WorkerRequest:
        """Send a request to the idle worker, or to a new one.

        Parameters
        ----------
        arguments
            As on the command line of the child process.

        Raises
        ------
        InferenceError
            If no worker can be started.
        """
        return WorkerRequest(self._acquire, self._release, arguments)

    def end(self) -> None:
        """Kill the idle worker, if there is one."""
        idle, self._idle = self._idle, None
        if idle is not None:
            idle.cancel()

    def _acquire(self) -> Worker:
        if self._idle is not None and self._idle.alive:
            idle, self._idle = self._idle, None
            return idle
        self.end()  # the worker died, or its idle time ran out
        return Worker(self._command(), self._environment())

    def _release(self, worker: Worker) -> None:
        self.end()
        self._idle = worker


WORKERS = WorkerPool()
"""The workers of this Slicer."""
atexit.register(WORKERS.end)
