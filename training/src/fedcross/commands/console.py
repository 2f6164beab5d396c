"""Shows stages, progress and remaining time to a person at a terminal.

On a terminal these are live bars; in a log file or a pipe they are plain lines, a few for each stage.
"""

from contextlib import AbstractContextManager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from fedcross.contract.plain_text import plain_text

PLAIN_STEP = 0.25
"""Share of a stage between two lines of progress where there are no bars."""
LONGEST_LINE = 2000
"""Characters of a line of `ConsoleReporter.log`."""


class _Steps(MofNCompleteColumn):
    """The finished steps of a stage; nothing as long as their number is not known."""

    def render(self, task: Task) -> Text:
        """Return the text of the column."""
        return Text() if task.total is None else super().render(task)


class _Remaining(TimeRemainingColumn):
    """The remaining time of a stage; nothing as long as the number of its steps is not known."""

    def render(self, task: Task) -> Text:
        """Return the text of the column."""
        return Text() if task.total is None else super().render(task)


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
            _Steps(),
            TimeElapsedColumn(),
            _Remaining(),
            console=self._console,
        )
        self._task: TaskID | None = None
        self._stage = ""
        self._next_line = 0.0

    def __enter__(self) -> "ConsoleReporter":
        if self._live:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end_bars()

    def stage(self, name: str, message: str) -> None:
        """Begin a stage: its bar has no length before the first progress, and goes if there is none."""
        self._stage, self._next_line = name, PLAIN_STEP
        if self._live:
            self._drop_bar_without_steps()
            self._task = self._bars.add_task(plain_text(message), total=None)
        else:
            self._console.print(plain_text(message), markup=False)

    def progress(self, done: int, total: int, stage: str) -> None:
        """Move the stage's bar to ``done`` of ``total``."""
        if stage != self._stage:
            self.stage(stage, stage.capitalize())
        if self._task is not None:
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

    def result(self, message: str) -> None:
        """End the bars and print what came out, so that it is the last thing on the terminal."""
        self._end_bars()
        self.log(message)

    def _end_bars(self) -> None:
        if self._live:
            self._drop_bar_without_steps()
            self._bars.stop()

    def _drop_bar_without_steps(self) -> None:
        if self._task is not None and self._bars.tasks[-1].total is None:
            self._bars.remove_task(self._task)
        self._task = None
