"""Reporters receive the stages and the progress of a long job."""

from typing import Protocol, TextIO


class Reporter(Protocol):
    """Receives the stages, the progress and the messages of a long job."""

    def stage(self, name: str, message: str) -> None:
        """Report that a stage begins.

        Parameters
        ----------
        name
            Short name of the stage, for programs.
        message
            What is done in it, for people.
        """

    def progress(self, done: int, total: int, stage: str) -> None:
        """Report that `done` of `total` steps of the stage with the name `stage` are finished."""

    def log(self, message: str) -> None:
        """Report a message for people."""

    def warning(self, message: str) -> None:
        """Report a sentence that a person should read, although the job goes on."""


class NullReporter:
    """Ignores everything; a base class for reporters that use only a part."""

    def stage(self, name: str, message: str) -> None:
        """Ignore it."""

    def progress(self, done: int, total: int, stage: str) -> None:
        """Ignore it."""

    def log(self, message: str) -> None:
        """Ignore it."""

    def warning(self, message: str) -> None:
        """Ignore it."""


class EachWarningOnce:
    """Passes everything on, but each warning only the first time.

    Parameters
    ----------
    reporter
        Receives it.
    """

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._known: set[str] = set()

    def stage(self, name: str, message: str) -> None:
        """Pass it on."""
        self._reporter.stage(name, message)

    def progress(self, done: int, total: int, stage: str) -> None:
        """Pass it on."""
        self._reporter.progress(done, total, stage)

    def log(self, message: str) -> None:
        """Pass it on."""
        self._reporter.log(message)

    def warning(self, message: str) -> None:
        """Pass it on, unless it was passed on before."""
        if message not in self._known:
            self._known.add(message)
            self._reporter.warning(message)


class PlainReporter:
    """Prints plain lines; of the progress, one line for each tenth of the steps.

    Parameters
    ----------
    stream
        Receives the lines, usually ``sys.stderr``.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def stage(self, name: str, message: str) -> None:
        """Print the message of the stage."""
        self.log(message)

    def progress(self, done: int, total: int, stage: str) -> None:
        """Print the number of finished steps if another tenth is finished."""
        if done * 10 // total > (done - 1) * 10 // total:
            self.log(f"  {done}/{total}")

    def log(self, message: str) -> None:
        """Print the message."""
        print(message, file=self._stream, flush=True)

    def warning(self, message: str) -> None:
        """Print the message, marked as a warning."""
        self.log(f"Warning: {message}")
