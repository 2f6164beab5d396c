"""Warm workers, so that the next volume starts at once.

One Slicer has one idle worker at most, and two Slicers share nothing but the cache of converted models.
A call whose worker dies is made once more on a fresh one; of a worker that dies idle nobody hears.
Nothing here knows Qt or MRML.
"""

import atexit
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from slicer.i18n import tr as _

from FedCrossSlicerLib.child.command import childCommand, childEnvironment
from FedCrossSlicerLib.child.worker import Worker
from FedCrossSlicerLib.errors import InferenceError


class Call:
    """One request under way; what `InferenceProcess` is to a child of its own.

    Parameters
    ----------
    take, give
        Bring a worker that is idle, and take it back.
    words
        The request.
    """

    def __init__(
        self, take: Callable[[], Worker], give: Callable[[Worker], None], words: Sequence[str]
    ) -> None:
        self._take, self._give, self._words = take, give, list(words)
        self._retried = self._over = False
        self._arrived: list[dict[str, Any]] = []  # from a worker that is ours no more
        self._said: list[str] = []  # by it
        self._failure: InferenceError | None = None
        self._worker = take()
        self._worker.ask(self._words)

    @property
    def pid(self) -> int:
        """The process number of the worker at work."""
        return self._worker.pid

    @property
    def running(self) -> bool:
        """Whether an answer is still to come; without one the request is made once more."""
        if self._over:
            return False
        if not self._worker.answered and self._worker.running:
            return True
        if self._worker.answered or self._retried:
            self._end()
        else:
            self._retry()
        return not self._over

    @property
    def log(self) -> str:
        """What was said beside the events."""
        present = "" if self._over else self._worker.log
        return "\n".join(text for text in (*self._said, present) if text)

    def events(self) -> list[dict[str, Any]]:
        """Return the events that came since the last call, without waiting."""
        arrived, self._arrived = self._arrived, []
        return arrived if self._over else arrived + self._worker.events()

    def cancel(self) -> None:
        """Kill the worker; harmless after the answer."""
        if self._over:
            return
        self._worker.cancel()
        self._end()

    def check(self) -> None:
        """Raise what went wrong, once the answer is there.

        Raises
        ------
        InferenceError
            One sentence for the user.
        """
        if self._failure is not None:
            raise self._failure

    def _retry(self) -> None:
        self._retried = True
        self._keep()
        self._said.append(_("The segmentation process ended unexpectedly; it is started again."))
        self._worker.cancel()
        try:
            self._worker = self._take()
        except InferenceError as error:
            self._failure, self._over = error, True
            return
        self._worker.ask(self._words)

    def _end(self) -> None:
        """Note how it ended and give the worker back: what it says from now on is another's."""
        try:
            self._worker.check()
        except InferenceError as error:
            self._failure = error
        self._keep()
        self._over = True
        if self._worker.answered and self._worker.alive:
            self._give(self._worker)
        else:
            self._worker.cancel()

    def _keep(self) -> None:
        self._arrived += self._worker.events()
        self._said.append(self._worker.log)


class Workers:
    """Hands out workers and keeps the one that was idle last.

    Parameters
    ----------
    command, environment
        Say how a worker is called.
    """

    def __init__(
        self,
        command: Callable[[], Sequence[str]] = lambda: [*childCommand(), "--worker"],
        environment: Callable[[], Mapping[str, str]] = childEnvironment,
    ) -> None:
        self._command, self._environment = command, environment
        self._idle: Worker | None = None

    def start(self, words: Sequence[str]) -> Call:
        """Have a request answered.

        Parameters
        ----------
        words
            As on the child's command line.

        Raises
        ------
        InferenceError
            If no worker can be started.
        """
        return Call(self._take, self._give, words)

    def end(self) -> None:
        """End the idle worker; another is started at need."""
        idle, self._idle = self._idle, None
        if idle is not None:
            idle.cancel()

    def _take(self) -> Worker:
        if self._idle is not None and self._idle.alive:
            idle, self._idle = self._idle, None
            return idle
        self.end()  # it died, or had been idle for so long that it went
        return Worker(self._command(), self._environment())

    def _give(self, worker: Worker) -> None:
        self.end()
        self._idle = worker


WORKERS = Workers()
"""Those of this Slicer."""
atexit.register(WORKERS.end)
