"""A child that stays: it answers one request after the other. Nothing here knows Qt or MRML."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

from FedCrossSlicerLib.child.process import InferenceProcess
from FedCrossSlicerLib.child.workspace import temporaryFolder
from FedCrossSlicerLib.errors import InferenceError


class Worker(InferenceProcess):
    """A child that answers one request after the other.

    Parameters
    ----------
    command
        Program and arguments.
    environment
        The child's whole environment, but for its temporary folder: it gets one of its own, which goes
        with it however it ends.

    Raises
    ------
    InferenceError
        If it cannot be started.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._folder = temporaryFolder()
        own = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(self._folder))
        try:
            super().__init__(command, {**environment, **own}, subprocess.PIPE)
        except InferenceError:
            self._clean()
            raise

    def ask(self, words: Sequence[str]) -> None:
        """Send a request; that the worker is dead is seen by `running`."""
        self.events()  # none of an earlier request is taken for one of this
        self._log.clear()
        self._last = {}
        stdin = self._child.stdin
        assert stdin is not None
        with suppress(OSError):
            stdin.write(json.dumps(list(words)) + "\n")
            stdin.flush()

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._child.poll() is None

    @property
    def answered(self) -> bool:
        """Whether the request has come to its end, good or bad."""
        return bool(self._last)

    def check(self) -> None:
        """Raise what went wrong with the request.

        Raises
        ------
        InferenceError
            One sentence for the user.
        """
        if self._cancelled or self._last.get("event") != "result":
            super().check()

    def cancel(self) -> None:
        """Kill it and its children, and remove its temporary files."""
        super().cancel()
        stdin = self._child.stdin
        if stdin is not None:
            with suppress(OSError):  # half a request was still in the buffer
                stdin.close()
        self._clean()

    def _clean(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
