"""The status of a remote run; other threads read it, and let the run pause."""

import threading
from typing import Any

from fedcross.runtime.reporting import NullReporter, Reporter


class RunStatus(NullReporter):
    """Number of finished rounds, the last log line, and whether the run is to pause.

    Parameters
    ----------
    rounds
        Number of rounds of the whole run.
    """

    def __init__(self, rounds: int) -> None:
        self._rounds, self._rounds_done = rounds, 0
        self._message = "Waiting for the sites."
        self._pause = threading.Event()

    def log(self, message: str) -> None:
        """Store a message; it replaces the one before."""
        self._message = message

    def stage(self, name: str, message: str) -> None:
        """Store the message of the stage as `log` does."""
        self.log(message)

    def set_rounds_done(self, rounds_done: int) -> None:
        """Store the number of finished rounds."""
        self._rounds_done = rounds_done

    def as_record(self) -> dict[str, Any]:
        """``{"rounds_done": int, "rounds": int, "message": str}``."""
        return {
            "rounds_done": self._rounds_done,
            "rounds": self._rounds,
            "message": self._message,
        }

    def finish_round(self, reporter: Reporter) -> bool:
        """Count one more finished round, report it to `reporter`; return whether to pause here."""
        self.set_rounds_done(self._rounds_done + 1)
        reporter.progress(self._rounds_done, self._rounds, "train")
        return self._pause.is_set()

    def request_pause(self) -> dict[str, Any]:
        """Let the run pause after the current round; return `as_record`."""
        self._pause.set()
        return self.as_record()
