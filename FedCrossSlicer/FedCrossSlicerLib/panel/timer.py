"""A timer that calls a function again and again while Slicer stays responsive."""

from collections.abc import Callable
from typing import Any

import qt

POLL_MS = 100
"""Milliseconds between two calls."""


def newTimer(function: Callable[[], None]) -> Any:
    """Return a QTimer, not yet started, that calls `function` every `POLL_MS`."""
    timer = qt.QTimer()
    timer.setInterval(POLL_MS)
    timer.connect("timeout()", function)
    return timer
