"""Work that waits for commands of the child's Python without blocking Slicer. No Qt here.

A job is a generator. It yields a command, and is sent the lines that the command has printed.
"""

import time
from collections.abc import Callable, Generator, Sequence
from typing import Generic, TypeVar

from slicer.i18n import tr as _

from FedCrossSlicerLib.child.command import childEnvironment
from FedCrossSlicerLib.child.process import InferenceProcess
from FedCrossSlicerLib.errors import InferenceError, InstallError

T = TypeVar("T")
Job = Generator[Sequence[str], list[str], T]
TIMEOUT_S = 120
"""Seconds after which a command is killed."""


def lineOf(command: Sequence[str], read: Callable[[str], T | None]) -> Job[T]:
    """Run a command and return the content of the last line that can be read.

    Parameters
    ----------
    command
        Program and arguments.
    read
        Converts a line; returns None or raises a `ValueError` if the line is something else.

    Raises
    ------
    InstallError
        If the command prints no such line.
    """
    lines = yield command
    for line in reversed(lines):
        try:
            content = read(line)
        except ValueError:
            continue
        if content is not None:
            return content
    raise _notRun()


class BackgroundJob(Generic[T]):
    """A job whose commands run in child processes, one after the other.

    Parameters
    ----------
    job
        The generator.

    Attributes
    ----------
    running
        Whether the job has not ended.
    """

    def __init__(self, job: Job[T]) -> None:
        self.running = True
        self._job = job
        self._process: InferenceProcess | None = None
        self._startedAt = 0.0
        self._result: list[T] = []
        self._error: InstallError | None = None

    def poll(self) -> None:
        """Continue the job until its next command; if its command still runs, do nothing."""
        process = self._process
        if not self.running:
            return
        if process is None:
            self._continue(lambda: next(self._job))
        elif not process.running:
            self._continue(lambda: self._job.send(process.log.splitlines()))
        elif time.monotonic() - self._startedAt > TIMEOUT_S:
            self.cancel()
            self._error = _notRun()

    def result(self) -> T:
        """Return what the job has returned.

        Raises
        ------
        InstallError
            If the job failed, or a command could not be run or did not end in time.
        """
        if self._error is not None:
            raise self._error
        return self._result[0]

    def cancel(self) -> None:
        """Kill the command and end the job."""
        self.running = False
        if self._process is not None:
            self._process.cancel()
        self._job.close()

    def _continue(self, step: Callable[[], Sequence[str]]) -> None:
        """Do one step of the job and start the command that it yields."""
        self.running = False
        try:
            self._process = InferenceProcess(step(), childEnvironment())
        except StopIteration as stop:
            self._result = [stop.value]
        except InstallError as error:
            self._error = error
        except InferenceError as error:
            self._error = _notRun()
            self._error.__cause__ = error
        else:
            self._startedAt = time.monotonic()
            self.running = True


def _notRun() -> InstallError:
    return InstallError(_("Slicer's Python could not be run. See the log."))
