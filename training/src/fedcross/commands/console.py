"""Shows stages, progress and remaining time to a person at a terminal.

On a terminal the present stage is a live bar, below those of the earlier stages. In a log file or a pipe
there are plain lines, a few for each stage.
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
            transient=True,
        )
        self._task: TaskID | None = None
        self._stage = self._title = ""
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
            self._end_bar()
            self._title = plain_text(message)
            self._task = self._bars.add_task(self._title, total=None)
        else:
            self._console.print(plain_text(message), markup=False)

    def progress(self, done: int, total: int, stage: str) -> None:
        """Move the stage's bar to ``done`` of ``total``."""
        if stage != self._stage:
            self.stage(stage, stage.capitalize())
        if self._live and self._task is None and done < total:  # its bar was full, and it goes on
            self._task = self._bars.add_task(self._title, total=total)
        if self._task is not None:
            self._bars.update(self._task, completed=done, total=total)
        elif not self._live and total and done / total >= self._next_line:
            self._console.print(f"  {done}/{total}", markup=False)
            self._next_line = (done / total // PLAIN_STEP + 1) * PLAIN_STEP

    def log(self, message: str) -> None:
        """Print a message above the live bar, line by line; a bar that is full stays above it."""
        if self._task is not None and self._bars.finished:
            self._end_bar()
        for line in message.splitlines():
            self._console.print(plain_text(line, LONGEST_LINE), markup=False)

    def warning(self, message: str) -> None:
        """Print a line above the live bar, marked as a warning."""
        self.log(f"Warning: {message}")

    def result(self, message: str) -> None:
        """End the bars and print what came out, so that it is the last thing on the terminal."""
        self._end_bars()
        self.log(message)

    def _end_bars(self) -> None:
        if self._live:
            self._end_bar()
            self._bars.stop()

    def _end_bar(self) -> None:
        """Leave the bar of a stage with steps where it is; take away one without."""
        if self._task is None:
            return
        (task,) = self._bars.tasks
        self._bars.remove_task(self._task)
        self._task = None
        if task.total is not None:
            self._console.print(self._bars.make_tasks_table([task]), soft_wrap=False)
