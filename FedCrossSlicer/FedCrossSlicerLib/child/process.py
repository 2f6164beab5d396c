"""One child process: its events, its log and its end. It uses neither Qt nor MRML.

Slicer stays responsive, and a crash of the child process does not end Slicer. The child process writes
one event a line to its standard output, see `fedcross.contract.events`. Reader threads put the events
into a queue, which the caller empties with `InferenceProcess.events`.
"""

import collections
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Any

from slicer.i18n import tr as _

from fedcross.contract.events import ErrorEvent, Event, ResultEvent, read_event
from fedcross.contract.exits import DONE
from FedCrossSlicerLib.child.command import noWindowFlag
from FedCrossSlicerLib.child.lines import WAIT_S, readLines
from FedCrossSlicerLib.errors import InferenceError

LOG_LINES = 200
"""Number of log lines that are kept, the latest."""
LOG_LINE_CHARACTERS = 200
"""Number of characters of a log line that an error message quotes."""
MAX_EVENT_BYTES = 200_000
"""Longest line that can be an event."""
MAX_LOG_BYTES = 4000
"""Longest part of a log line that is kept."""
MAX_EVENTS = 10_000
"""Largest number of events that wait for `InferenceProcess.events`."""
PIPE_TIMEOUT_S = 2.0
"""Seconds to wait for the output pipes to close after the child process has ended."""
_LAUNCHER_CRASH_LINE = "exit abnormally - Report the problem."
"""End of the line that PythonSlicer logs when its Python was killed. It exits with code 1."""


class InferenceProcess:
    """A child process that was started and may still run.

    Parameters
    ----------
    command
        Program and arguments.
    environment
        The whole environment of the child process; None for this process's environment.
    stdin
        `subprocess.PIPE` if requests are written to the child process.

    Raises
    ------
    InferenceError
        If the process cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        self._events: queue.Queue[Event] = queue.Queue(MAX_EVENTS)
        self._log: collections.deque[str] = collections.deque(maxlen=LOG_LINES)
        self._outcome: ResultEvent | ErrorEvent | None = None  # the latest
        self._cancelled = False
        self._isLeft = False
        self._endedAt: float | None = None
        try:
            self._child = subprocess.Popen(
                list(command),
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=None if environment is None else dict(environment),
                **_newProcessGroup(),
            )
        except OSError as error:
            raise InferenceError(
                _("The segmentation process could not be started: {why}.").format(
                    why=error.strerror
                )
            ) from error
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        self._readers = [
            threading.Thread(target=self._readEvents, args=(self._child.stdout,), daemon=True),
            threading.Thread(target=self._readLog, args=(self._child.stderr,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """Process number of the child process, which is also the number of its process group."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether the child process runs or output of it is still unread."""
        if self._child.poll() is None:
            return True
        if not any(reader.is_alive() for reader in self._readers):
            return False
        # The child process has ended, but a process that it started still holds its output pipe open.
        self._endedAt = self._endedAt or time.monotonic()
        if time.monotonic() - self._endedAt < PIPE_TIMEOUT_S:
            return True
        self._isLeft = True
        _killTree(self._child)
        return False

    @property
    def log(self) -> str:
        """The output of the child process that was not an event."""
        return "\n".join(self._log)

    def events(self) -> list[Event]:
        """Return the events that arrived since the last call, oldest first, without waiting."""
        arrived = []
        while True:
            try:
                arrived.append(self._events.get_nowait())
            except queue.Empty:
                return arrived

    def cancel(self) -> None:
        """Kill the child process and the processes that it started; a second call changes nothing."""
        self._cancelled = self._isLeft = True
        if self._child.poll() is None or any(reader.is_alive() for reader in self._readers):
            _killTree(self._child)
        self._child.wait()
        for reader in self._readers:
            reader.join(PIPE_TIMEOUT_S)

    def check(self) -> None:
        """Raise the error of a child process that ended without a result.

        Raises
        ------
        InferenceError
            If the child process failed, was cancelled or ended without a result.
        """
        if self._cancelled:
            raise InferenceError(_("The segmentation was cancelled."), log=self.log)
        if isinstance(self._outcome, ErrorEvent):
            message = str(self._outcome) or _("The segmentation failed without a message.")
            raise InferenceError(message, self._outcome.type, log=self.log)
        code = self._child.poll()
        if code == DONE and self._outcome is None:
            raise InferenceError(
                _("The segmentation process ended without a result."), log=self.log
            )
        if code != DONE:
            raise InferenceError(self._crashMessage(code), log=self.log)

    def _crashMessage(self, code: int | None) -> str:
        """One sentence for a child process that ended with `code` and without an `ErrorEvent`."""
        if any(line.endswith(_LAUNCHER_CRASH_LINE) for line in self._log):
            message = _(
                "The segmentation process was killed or crashed{reason}. Usually memory ran out."
            )
        elif code is not None and code < 0:
            message = _("The segmentation process was killed (signal {number}){reason}.")
        else:
            message = _("The segmentation process stopped (code {number}){reason}.")
        number = abs(code) if code is not None else "?"
        return message.format(number=number, reason=self._lastLogLine())

    def _lastLogLine(self) -> str:
        """The last log line behind a colon, which usually names the cause."""
        lines = [line.strip() for line in self._log if not line.endswith(_LAUNCHER_CRASH_LINE)]
        lines = [line for line in lines if line]
        return (
            f": {lines[-1][:LOG_LINE_CHARACTERS].rstrip('.')}" if lines else _(" without a message")
        )

    def _readEvents(self, stream: IO[bytes]) -> None:
        for line in readLines(stream, MAX_EVENT_BYTES, lambda: self._isLeft):
            event = read_event(line)
            if event is None:
                self._log.append(line.rstrip()[:MAX_LOG_BYTES])
                continue
            if isinstance(event, ResultEvent | ErrorEvent):
                self._outcome = event
            self._put(event)

    def _put(self, event: Event) -> None:
        """Queue an event; while the queue is full the child process waits, too."""
        while not self._isLeft:
            with suppress(queue.Full):
                self._events.put(event, timeout=WAIT_S)
                return

    def _readLog(self, stream: IO[bytes]) -> None:
        for line in readLines(stream, MAX_LOG_BYTES, lambda: self._isLeft):
            self._log.append(line.rstrip())


def _newProcessGroup() -> dict[str, Any]:
    """Arguments for `subprocess.Popen`: a process group that can be killed as a whole."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def _killTree(child: "subprocess.Popen[bytes]") -> None:
    if sys.platform == "win32":
        command = ["taskkill", "/PID", str(child.pid), "/T", "/F"]
        subprocess.run(command, capture_output=True, check=False, creationflags=noWindowFlag())
        return
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # the whole group has ended already
