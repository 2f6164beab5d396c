"""Wait for a request while Slicer stays responsive."""

import time
from collections.abc import Callable
from typing import Protocol

import slicer

POLL_S = 0.05
"""Seconds between two looks at a request."""


class Running(Protocol):
    """Something that runs in the background."""

    @property
    def running(self) -> bool:
        """Whether it is still running."""


def wait(task: Running, poll: Callable[[], object]) -> None:
    """Wait until a task has ended; Slicer processes its own events meanwhile.

    Parameters
    ----------
    task
        The task.
    poll
        Called at every look at the task, for instance to read its events.
    """
    while task.running:
        poll()
        slicer.app.processEvents()
        time.sleep(POLL_S)
