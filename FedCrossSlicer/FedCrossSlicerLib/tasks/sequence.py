"""Segment every time point of a sequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from FedCrossSlicerLib.child.request import Options
from FedCrossSlicerLib.errors import InferenceError
from FedCrossSlicerLib.scene.nodes import ResultNodes
from FedCrossSlicerLib.scene.sequences import (
    sameTimePoint,
    selectTimePoint,
    storeResults,
    timePoints,
)
from FedCrossSlicerLib.tasks.segmentation import SegmentationLogic
from FedCrossSlicerLib.tasks.task import SegmentationTask
from FedCrossSlicerLib.tasks.wait import wait

if TYPE_CHECKING:
    from slicer import vtkMRMLMarkupsROINode, vtkMRMLScalarVolumeNode

Progress = Callable[[int, int, str], None]


class SequenceTask:
    """The segmentation of every time point in turn, with the interface of `SegmentationTask`.

    `poll` starts the next time point when one is done. `finish` shows the results of all of them.

    Parameters
    ----------
    logic
        Starts the segmentation of one volume.
    volume
        The proxy volume of a sequence browser.
    bundle
        The bundle's folder or ``.zip``.
    options
        How to segment; None for the defaults.
    roi
        Markups ROI node that limits the segmentation; None for the whole volume.
    further
        Volume nodes of the further channels. Those that the browser displays, too, change with the time
        point; the others stay the same.

    Attributes
    ----------
    count
        Number of time points.

    Raises
    ------
    InferenceError
        If the first time point cannot be started.
    """

    def __init__(
        self,
        logic: SegmentationLogic,
        volume: vtkMRMLScalarVolumeNode,
        bundle: str | Path,
        options: Options | None,
        roi: vtkMRMLMarkupsROINode | None,
        further: Sequence[vtkMRMLScalarVolumeNode] = (),
    ) -> None:
        found = timePoints(volume)
        if found is None:
            raise ValueError("volume must be the proxy node of a sequence browser")
        self._browser, self.count = found
        self._volume = volume
        self._start: Callable[[], SegmentationTask] = lambda: logic.start(
            volume, bundle, options, roi, further
        )
        self._failure: InferenceError | None = None
        self._tasks: list[SegmentationTask] = []
        self._startNext()

    @property
    def item(self) -> int:
        """The current time point, from 0."""
        return len(self._tasks) - 1

    @property
    def running(self) -> bool:
        """Whether a time point is still to be segmented."""
        return self._failure is None and (self.item + 1 < self.count or self._task.running)

    @property
    def log(self) -> str:
        """The log of the child process for the current time point."""
        return self._task.log

    @property
    def done(self) -> int:
        """Number of finished steps of the current stage of the current time point."""
        return self._task.done

    @property
    def total(self) -> int:
        """Number of all steps of the current stage of the current time point; 0 while unknown."""
        return self._task.total

    @property
    def message(self) -> str:
        """Time point and stage, as the panel shows them."""
        text = _("Time point {item} of {count}").format(item=self.item + 1, count=self.count)
        return f"{text}: {self._task.message}" if self._task.message else text

    @property
    def remainingSeconds(self) -> float | None:
        """Expected seconds until the current stage ends; None while unknown."""
        return self._task.remainingSeconds

    def poll(self) -> None:
        """Read the events of the child process; start the next time point when one is done."""
        self._task.poll()
        if self._failure is not None or self._task.running or self.item + 1 == self.count:
            return
        try:
            self._task.check()
            self._startNext()
        except InferenceError as error:
            self._failure = error

    def finish(self) -> ResultNodes:
        """Show the results, once all time points are done.

        Returns
        -------
        ResultNodes
            The nodes that display the result of the browser's current time point.

        Raises
        ------
        InferenceError
            If a time point failed; scene and browser are then as they were before.
        """
        try:
            if self._failure is not None:
                raise self._failure
            self._task.check()
            self._requireSequence()
            with sameTimePoint(self._browser):
                return storeResults(
                    [task.finish for task in self._tasks], self._volume, self._browser
                )
        finally:
            self.cancel()

    def cancel(self) -> None:
        """Kill the child process and remove the temporary files; after the end this changes nothing."""
        for task in self._tasks:
            task.cancel()

    @property
    def _task(self) -> SegmentationTask:
        return self._tasks[-1]

    def _startNext(self) -> None:
        self._requireSequence()
        with sameTimePoint(self._browser):  # the user may look at another time point
            selectTimePoint(self._browser, len(self._tasks))
            task = self._start()
            task.timePoint = ""  # the nodes of the result will show every time point
            self._tasks.append(task)

    def _requireSequence(self) -> None:
        if timePoints(self._volume) != (self._browser, self.count):
            raise InferenceError(_("The sequence was changed while it was being segmented."))


def segmentSequence(
    logic: SegmentationLogic,
    volume: vtkMRMLScalarVolumeNode,
    bundle: str | Path,
    options: Options | None = None,
    progress: Progress | None = None,
    roi: vtkMRMLMarkupsROINode | None = None,
    further: Sequence[vtkMRMLScalarVolumeNode] = (),
) -> ResultNodes:
    """Segment every time point of a sequence and wait for the results.

    Parameters
    ----------
    logic, volume, bundle, options, roi, further
        As for `SequenceTask`.
    progress
        Called at the start of each time point with the number of time points that are done, the number
        of all time points, and a message for people.

    Returns
    -------
    ResultNodes
        The nodes that display the result of the browser's current time point.

    Raises
    ------
    InferenceError
        If a time point fails; scene and browser are then as they were before.
    """
    task = SequenceTask(logic, volume, bundle, options, roi, further)
    reported = -1

    def poll() -> None:
        nonlocal reported
        if progress is not None and task.item > reported:
            reported = task.item
            progress(reported, task.count, task.message)
        task.poll()

    try:
        wait(task, poll)
        return task.finish()
    finally:
        task.cancel()
