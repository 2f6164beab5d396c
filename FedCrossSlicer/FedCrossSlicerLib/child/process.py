"""The child process that does the computing, so that Slicer stays responsive and cannot be torn down.

Nothing here knows Qt or MRML. The child prints one JSON object a line; a reader thread puts them into a
queue, which the caller empties when it likes.
"""

import collections
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any

from slicer.i18n import tr as _

from FedCrossSlicerLib.child.command import withoutWindow
from FedCrossSlicerLib.errors import InferenceError

LOG_LINES = 200  # of what the child says beside its events
LAST_WORDS = 200  # characters
STRAGGLERS_S = 2.0
_LAUNCHER_SAW_A_CRASH = "exit abnormally - Report the problem."
"""What PythonSlicer, a launcher, says when the Python that it started was killed; its code is then 1."""


class InferenceProcess:
    """A running child.

    Parameters
    ----------
    command
        Program and arguments.
    environment
        The child's whole environment; None inherits ours.
    stdin
        `subprocess.PIPE` for a child that is spoken to.

    Raises
    ------
    InferenceError
        If it cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._log: collections.deque[str] = collections.deque(maxlen=LOG_LINES)
        self._last: dict[str, Any] = {}
        self._cancelled = False
        self._endedAt: float | None = None
        try:
            self._child = subprocess.Popen(
                list(command),
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                env=None if environment is None else dict(environment),
                **_ownProcessGroup(),
            )
        except OSError as error:
            raise InferenceError(
                _("The segmentation process could not be started: {why}.").format(
                    why=error.strerror
                )
            ) from error
        self._readers = [
            threading.Thread(target=target, args=(stream,), daemon=True)
            for target, stream in (
                (self._readEvents, self._child.stdout),
                (self._readLog, self._child.stderr),
            )
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """The child's process number, which is also its group's."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether the child, or output of it that was not read yet, is still there."""
        if self._child.poll() is None:
            return True
        if not any(reader.is_alive() for reader in self._readers):
            return False
        # The child is gone, but somebody holds its output open: its own children, left alone.
        self._endedAt = self._endedAt or time.monotonic()
        if time.monotonic() - self._endedAt < STRAGGLERS_S:
            return True
        _killTree(self._child)
        return False

    @property
    def log(self) -> str:
        """What the child said beside its events."""
        return "\n".join(self._log)

    def events(self) -> list[dict[str, Any]]:
        """Return the events that came since the last call, without waiting."""
        arrived = []
        while True:
            try:
                arrived.append(self._events.get_nowait())
            except queue.Empty:
                return arrived

    def cancel(self) -> None:
        """Kill the child and every process it started; harmless when it has ended."""
        self._cancelled = True
        if self._child.poll() is None or any(reader.is_alive() for reader in self._readers):
            _killTree(self._child)
        self._child.wait()
        for reader in self._readers:  # their pipes closed with the last of the processes
            reader.join(STRAGGLERS_S)

    def check(self) -> None:
        """Raise what went wrong, once the child has ended.

        Raises
        ------
        InferenceError
            One sentence for the user.
        """
        code = self._child.poll()
        if self._cancelled:
            raise InferenceError(_("The segmentation was cancelled."), log=self.log)
        if self._last.get("event") == "error":
            raise InferenceError(
                _sentence(self._last), str(self._last.get("type", "")), log=self.log
            )
        if code == 0 and self._last.get("event") != "result":
            raise InferenceError(
                _("The segmentation process ended without a result."), log=self.log
            )
        if code != 0:
            if any(line.endswith(_LAUNCHER_SAW_A_CRASH) for line in self._log):
                told = _(
                    "The segmentation process was killed or crashed{words}; most often memory was short."
                )
            elif code is not None and code < 0:
                told = _("The segmentation process was killed (signal {number}){words}.")
            else:
                told = _("The segmentation process stopped (code {number}){words}.")
            number = abs(code) if code is not None else "?"
            raise InferenceError(told.format(number=number, words=self._lastWords()), log=self.log)

    def _lastWords(self) -> str:
        """The last line that the child said beside its events, which tends to name the trouble."""
        lines = (line.strip() for line in self._log)
        said = [line for line in lines if line and not line.endswith(_LAUNCHER_SAW_A_CRASH)]
        return f": {said[-1][:LAST_WORDS].rstrip('.')}" if said else _(" without saying why")

    def _readEvents(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                event = _parse(line)
                if event is None:
                    self._log.append(line.rstrip())
                    continue
                if event["event"] in ("error", "result"):
                    self._last = event
                self._events.put(event)

    def _readLog(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._log.append(line.rstrip())


def _parse(line: str) -> dict[str, Any] | None:
    """An event, or None for anything else that found its way to stdout."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def _sentence(error: Mapping[str, Any]) -> str:
    said = " ".join(str(error[key]) for key in ("message", "hint") if error.get(key))
    return said or _("The segmentation failed without saying why.")


def _ownProcessGroup() -> dict[str, Any]:
    """A group of its own, so that the child and its children can be killed together."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def _killTree(child: "subprocess.Popen[str]") -> None:
    if sys.platform == "win32":
        command = ["taskkill", "/PID", str(child.pid), "/T", "/F"]
        subprocess.run(command, capture_output=True, check=False, **withoutWindow())
        return
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it ended by itself in the meantime
