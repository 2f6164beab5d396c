"""Measure how long each stage of a job takes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from fedcross.runtime.reporting import Reporter


class Stopwatch:
    """Reports the stages of a job and measures their durations.

    Parameters
    ----------
    reporter
        Receives each stage as it begins.

    Attributes
    ----------
    seconds : dict
        Wall time in s of each finished stage by its name, in the order in which they finished.
    """

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, message: str) -> Iterator[None]:
        """Report a stage (see `Reporter.stage`) and measure the duration of the block."""
        self._reporter.stage(name, message)
        begin = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - begin, 3)
