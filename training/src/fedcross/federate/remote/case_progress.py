"""Reports the progress over the cases of a site by a function, as a task does."""

from collections.abc import Callable

from fedcross.runtime.reporting import NullReporter


class CaseProgress(NullReporter):
    """Passes progress on to a function.

    Parameters
    ----------
    progress
        Called with (cases done, cases).
    """

    def __init__(self, progress: Callable[[int, int], None]) -> None:
        self._progress = progress

    def progress(self, done: int, total: int, stage: str) -> None:
        """Pass the number of cases on."""
        self._progress(done, total)
