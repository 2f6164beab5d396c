"""How long each stage of a job took, told to a reporter as it begins."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from fedcross.runtime.reporting import Reporter


class Stopwatch:
    """Announces stages and keeps their durations.

    Attributes
    ----------
    seconds : dict
        Stage to wall time in seconds, in order, finished stages only.
    """

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, message: str) -> Iterator[None]:
        """Announce a stage and time what happens inside."""
        self._reporter.stage(name, message)
        begin = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - begin, 3)
