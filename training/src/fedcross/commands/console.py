"""Shows stages, progress and remaining time to a person at a terminal.

On a terminal these are live bars; in a log file or a pipe they are plain lines, a few for each stage.
"""

from contextlib import AbstractContextManager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from fedcross.contract.plain_text import plain_text

PLAIN_STEP = 0.25
"""Share of a stage between two lines of progress where there are no bars."""
LONGEST_LINE = 2000
"""Characters of a line of `ConsoleReporter.log`."""


class ConsoleReporter(AbstractContextManager["ConsoleReporter"]):
    """Shows stages and progress on stdout, so that stderr holds only errors.

    A context manager: at the end the terminal is as before, also after an error.

    Parameters
    ----------
    console
        Where to print; None is stdout.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._live = self._console.is_terminal
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._task: TaskID | None = None
        self._stage = ""
        self._title = ""
        self._next_line = 0.0

    def __enter__(self) -> "ConsoleReporter":
        if self._live:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._bars.stop()

    def stage(self, name: str, message: str) -> None:
        """Begin a stage; its bar appears with the first progress."""
        self._stage, self._title, self._task, self._next_line = name, message, None, PLAIN_STEP
        if not self._live:
            self._console.print(plain_text(message), markup=False)

    def progress(self, done: int, total: int, stage: str) -> None:
        """Move the stage's bar to ``done`` of ``total``."""
        if stage != self._stage:
            self.stage(stage, stage.capitalize())
        if self._live:
            if self._task is None:
                self._task = self._bars.add_task(plain_text(self._title), total=total)
            self._bars.update(self._task, completed=done, total=total)
        elif total and done / total >= self._next_line:
            self._console.print(f"  {done}/{total}", markup=False)
            self._next_line = (done / total // PLAIN_STEP + 1) * PLAIN_STEP

    def log(self, message: str) -> None:
        """Print a message above the bars, line by line."""
        for line in message.splitlines():
            self._console.print(plain_text(line, LONGEST_LINE), markup=False)

    def warning(self, message: str) -> None:
        """Print a line above the bars, marked as a warning."""
        self.log(f"Warning: {message}")
