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
from collections.abc import Mapping, Sequence
from typing import Any

LOG_LINES = 200  # of what the child says beside its events


class InferenceError(Exception):
    """The child could not do it; `str()` is one sentence for the user.

    Attributes
    ----------
    kind
        Class of the child's error, such as ``DeviceError``; ``""`` when it died without saying.
    log
        What the child said beside its events, for the details.
    """

    def __init__(self, message: str, kind: str = "", log: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.log = log


class InferenceProcess:
    """A running child.

    Parameters
    ----------
    command
        Program and arguments.
    environment
        The child's whole environment; None inherits ours.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._log: collections.deque[str] = collections.deque(maxlen=LOG_LINES)
        self._error: dict[str, Any] | None = None
        self._cancelled = False
        try:
            self._child = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                env=None if environment is None else dict(environment),
                **_own_process_group(),
            )
        except OSError as error:
            raise InferenceError(
                f"The segmentation process could not be started: {error.strerror}."
            ) from error
        self._readers = [
            threading.Thread(target=target, daemon=True)
            for target in (self._read_events, self._read_log)
        ]
        for reader in self._readers:
            reader.start()

    @property
    def running(self) -> bool:
        """Whether the child, or output of it that was not read yet, is still there."""
        return self._child.poll() is None or any(reader.is_alive() for reader in self._readers)

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

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the child's end and all of its output.

        Raises
        ------
        subprocess.TimeoutExpired
            If it has not ended by then.
        """
        self._child.wait(timeout)
        for reader in self._readers:
            reader.join(timeout)

    def cancel(self) -> None:
        """Kill the child and every process it started; harmless when it has ended."""
        self._cancelled = True
        if self._child.poll() is None:
            _kill_tree(self._child)
        self._child.wait()

    def check(self) -> None:
        """Raise what went wrong, once the child has ended.

        Raises
        ------
        InferenceError
            One sentence for the user.
        """
        code = self._child.poll()
        if self._cancelled:
            raise InferenceError("The segmentation was cancelled.", log=self.log)
        if self._error is not None:
            parts = (self._error.get("message", ""), self._error.get("hint", ""))
            sentence = " ".join(str(part) for part in parts if part)
            raise InferenceError(sentence, str(self._error.get("type", "")), self.log)
        if code != 0:
            how = f"was killed (signal {-code})" if code and code < 0 else f"stopped (code {code})"
            raise InferenceError(
                f"The segmentation process {how} without saying why; see the log.", log=self.log
            )

    def _read_events(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            event = _parse(line)
            if event is None:
                self._log.append(line.rstrip())
                continue
            if event["event"] == "error":
                self._error = event
            self._events.put(event)

    def _read_log(self) -> None:
        assert self._child.stderr is not None
        for line in self._child.stderr:
            self._log.append(line.rstrip())


def _parse(line: str) -> dict[str, Any] | None:
    """An event, or None for anything else that found its way to stdout."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def _own_process_group() -> dict[str, Any]:
    """A group of its own, so that the child and its children can be killed together."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def _kill_tree(child: "subprocess.Popen[str]") -> None:
    if sys.platform == "win32":
        command = ["taskkill", "/PID", str(child.pid), "/T", "/F"]
        subprocess.run(command, capture_output=True, check=False)
        return
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it ended by itself in the meantime
