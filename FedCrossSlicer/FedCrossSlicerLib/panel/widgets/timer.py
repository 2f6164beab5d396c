"""A timer that calls a function again and again while Slicer stays responsive."""

from collections.abc import Callable

import qt

POLL_MS = 100
"""Milliseconds between two calls."""


class PollTimer:
    """Calls a function every `POLL_MS` between `start` and `stop`.

    PythonQt refers to a connected function until it is disconnected, so a timer that is no longer needed
    must be released; otherwise it keeps the object of a bound method alive.

    Parameters
    ----------
    function
        Called without arguments.
    milliseconds
        Time between two calls.
    singleShot
        Whether the timer stops after one call.
    """

    def __init__(
        self, function: Callable[[], None], milliseconds: int = POLL_MS, singleShot: bool = False
    ) -> None:
        self._function = function
        self._isConnected = False
        self._timer = qt.QTimer()
        self._timer.setInterval(milliseconds)
        self._timer.setSingleShot(singleShot)

    def start(self) -> None:
        """Start the timer, or start its interval again."""
        if not self._isConnected:
            self._timer.connect("timeout()", self._function)
            self._isConnected = True
        self._timer.start()

    def stop(self) -> None:
        """Stop the timer."""
        self._timer.stop()

    def release(self) -> None:
        """Stop the timer and disconnect the function; do not call this from the function."""
        self._timer.stop()
        if self._isConnected:
            self._timer.disconnect("timeout()", self._function)
            self._isConnected = False
