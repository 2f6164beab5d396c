"""Reporters: how a long job tells its stages and its progress."""

from typing import Protocol, TextIO


class Reporter(Protocol):
    """Whoever listens to a long job."""

    def stage(self, name: str, message: str) -> None:
        """Say that a stage begins: a short name for programs, a sentence for people."""

    def progress(self, done: int, total: int, stage: str) -> None:
        """Say that `done` of `total` steps of a stage are finished."""

    def log(self, message: str) -> None:
        """Say something worth keeping."""


class NullReporter:
    """Listens to nothing."""

    def stage(self, name: str, message: str) -> None:
        """Ignore it."""

    def progress(self, done: int, total: int, stage: str) -> None:
        """Ignore it."""

    def log(self, message: str) -> None:
        """Ignore it."""


class PlainReporter:
    """Plain lines for people; progress at every tenth part of the way.

    Parameters
    ----------
    stream
        Where the lines go, as a rule ``sys.stderr``.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def stage(self, name: str, message: str) -> None:
        """Print what begins."""
        self.log(message)

    def progress(self, done: int, total: int, stage: str) -> None:
        """Print how far it is, whenever another tenth is done."""
        if done * 10 // total > (done - 1) * 10 // total:
            self.log(f"  {done}/{total}")

    def log(self, message: str) -> None:
        """Print it."""
        print(message, file=self._stream, flush=True)
