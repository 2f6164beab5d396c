"""A warm worker: a child process that computes several requests in turn. It uses neither Qt nor MRML."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

from fedcross.contract.events import ResultEvent
from FedCrossSlicerLib.child.process import InferenceProcess
from FedCrossSlicerLib.child.workspace import temporaryFolder
from FedCrossSlicerLib.errors import InferenceError


class Worker(InferenceProcess):
    """A child process that computes one request after the other and keeps the models in memory.

    Parameters
    ----------
    command
        Program and arguments.
    environment
        The whole environment of the worker. The worker gets its own temporary folder in place of the
        environment's; `cancel` removes that folder.

    Raises
    ------
    InferenceError
        If the process cannot be started.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._folder = temporaryFolder()
        folders = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(self._folder))
        try:
            super().__init__(command, {**environment, **folders}, subprocess.PIPE)
        except InferenceError:
            self._removeFolder()
            raise

    def send(self, arguments: Sequence[str]) -> None:
        """Send a request; if the worker has died, `running` becomes False."""
        self.events()  # discard the events of the previous request
        self._log.clear()
        self._outcome = None
        stdin = self._child.stdin
        assert stdin is not None
        with suppress(OSError):
            stdin.write(json.dumps(list(arguments)).encode("ascii") + b"\n")
            stdin.flush()

    @property
    def alive(self) -> bool:
        """Whether the worker can receive a request."""
        return self._child.poll() is None

    @property
    def finished(self) -> bool:
        """Whether the worker has reported the result or the error of the request."""
        return self._outcome is not None

    def check(self) -> None:
        """Raise the error of the request.

        Raises
        ------
        InferenceError
            If the request failed or was cancelled.
        """
        if self._cancelled or not isinstance(self._outcome, ResultEvent):
            super().check()

    def cancel(self) -> None:
        """Kill the worker and the processes that it started, and remove its temporary files."""
        super().cancel()
        stdin = self._child.stdin
        if stdin is not None:
            with suppress(OSError):  # part of a request may still be in the buffer
                stdin.close()
        self._removeFolder()

    def _removeFolder(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
