"""Every time point of a sequence in one go."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from FedCrossSlicerLib.child.request import Options
from FedCrossSlicerLib.errors import InferenceError
from FedCrossSlicerLib.scene.nodes import ResultNodes
from FedCrossSlicerLib.scene.sequences import sameTimePoint, select, show, timePoints
from FedCrossSlicerLib.tasks.segmentation import POLL_S, SegmentationTask

Progress = Callable[[int, int, str], None]


class SequenceTask:
    """Every time point of a sequence, one after the other; handled as a `SegmentationTask` is.

    They are shown only when all are done. `poll` moves on from one to the next.

    Parameters
    ----------
    logic
        With `start`, as `SegmentationLogic` has it.
    volume
        A sequence browser's proxy volume.
    bundle, options, roi
        As for `start`.

    Attributes
    ----------
    item, count
        The time point at work, from 0, and how many there are.

    Raises
    ------
    InferenceError
        If the first time point cannot be started.
    """

    def __init__(
        self, logic: Any, volume: Any, bundle: Path, options: Options | None, roi: Any
    ) -> None:
        found = timePoints(volume)
        if found is None:
            raise ValueError("volume must be a sequence browser's proxy node")
        self._browser, self.count = found
        self._volume = volume
        self._start = lambda: logic.start(volume, bundle, options, roi)
        self._failure: InferenceError | None = None
        self._tasks: list[SegmentationTask] = []
        self._next()

    @property
    def item(self) -> int:
        return len(self._tasks) - 1

    @property
    def running(self) -> bool:
        """Whether a time point is still to be done."""
        return self._failure is None and (self.item + 1 < self.count or self._task.running)

    @property
    def log(self) -> str:
        """What was said beside the events, about this time point."""
        return self._task.log

    @property
    def done(self) -> int:
        """Steps of the present stage of this time point, of `total`."""
        return self._task.done

    @property
    def total(self) -> int:
        """All steps of the present stage of this time point; 0 while they cannot be counted."""
        return self._task.total

    @property
    def message(self) -> str:
        """Time point and stage, for people."""
        text = _("Time point {item} of {count}").format(item=self.item + 1, count=self.count)
        return f"{text}: {self._task.message}" if self._task.message else text

    @property
    def remainingSeconds(self) -> float | None:
        """How long the present stage of this time point will take, at the rate so far."""
        return self._task.remainingSeconds

    def poll(self) -> None:
        """Take in what was said, and go on with the next time point when one is done."""
        self._task.poll()
        if self._failure is not None or self._task.running or self.item + 1 == self.count:
            return
        try:
            self._task.check()
            self._next()
        except InferenceError as error:
            self._failure = error

    def finish(self) -> ResultNodes:
        """Show the results; all must be there.

        Returns
        -------
        ResultNodes
            Whose nodes change with the browser's time point.

        Raises
        ------
        InferenceError
            If a time point failed; scene and browser are then as they were.
        """
        try:
            if self._failure is not None:
                raise self._failure
            self._task.check()
            self._stillThere()
            with sameTimePoint(self._browser):
                return show(self._tasks, self._volume, self._browser)
        finally:
            self.cancel()

    def cancel(self) -> None:
        """Stop, leaving nothing behind; harmless when all has ended."""
        for task in self._tasks:
            task.cancel()

    @property
    def _task(self) -> SegmentationTask:
        return self._tasks[-1]

    def _next(self) -> None:
        self._stillThere()
        with sameTimePoint(self._browser):  # the user may look at another one meanwhile
            select(self._browser, len(self._tasks))
            self._tasks.append(self._start())

    def _stillThere(self) -> None:
        if timePoints(self._volume) != (self._browser, self.count):
            raise InferenceError(_("The sequence was changed while it was being segmented."))


def segmentSequence(
    logic: Any,
    volume: Any,
    bundle: Path,
    options: Options | None = None,
    progress: Progress | None = None,
    roi: Any = None,
) -> ResultNodes:
    """Segment every time point and wait for the results; the arguments are those of `SequenceTask`.

    Parameters
    ----------
    progress
        Called with (time points done, in all, what is going on).

    Raises
    ------
    InferenceError
        If a time point fails; scene and browser are then as they were.
    """
    task = SequenceTask(logic, volume, bundle, options, roi)
    told = -1
    try:
        while task.running:
            if progress is not None and task.item > told:
                told = task.item
                progress(told, task.count, task.message)
            slicer.app.processEvents()
            time.sleep(POLL_S)
            task.poll()
        return task.finish()
    finally:
        task.cancel()
