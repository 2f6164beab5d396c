"""The running segmentation of one volume: its progress, its result, cancelling."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from fedcross.contract.events import ProgressEvent, StageEvent
from FedCrossSlicerLib.child.request import RESULT, RunningRequest
from FedCrossSlicerLib.errors import InferenceError
from FedCrossSlicerLib.scene.nodes import ResultNodes
from FedCrossSlicerLib.tasks.load import loadResult
from FedCrossSlicerLib.tasks.wait import wait

if TYPE_CHECKING:
    from slicer import vtkMRMLScalarVolumeNode

Progress = Callable[[int, int, str], None]


class SegmentationTask:
    """The segmentation of one volume, which the child process computes in the background.

    `finish` ends the task and shows the result; `cancel` ends it without a result. Both remove the
    temporary files.

    Parameters
    ----------
    volume
        The volume node.
    folder
        The temporary folder of the request; the task removes it.
    request
        The running request.
    names
        File name in the temporary folder to the name of its volume node: an error then speaks of the
        volume.
    timePoint
        The time point of a sequence that the volume displayed when it was exported; ``""`` for none.

    Attributes
    ----------
    timePoint
        As the parameter; the result is named after it.
    done
        Number of finished steps of the current stage.
    total
        Number of all steps of the current stage; 0 while unknown.
    stage
        Name of the current stage, for programs.
    message
        Name of the current stage, for people.
    """

    def __init__(
        self,
        volume: vtkMRMLScalarVolumeNode,
        folder: Path,
        request: RunningRequest,
        names: Mapping[str, str] = MappingProxyType({}),
        timePoint: str = "",
    ) -> None:
        self._volumeID = volume.GetID()
        self._folder = folder
        self._request = request
        self._names = names
        self.timePoint = timePoint
        self.done, self.total = 0, 0
        self.stage, self.message = "start", ""
        self._firstStep: tuple[float, int] | None = None  # when it ended, and its number

    @property
    def running(self) -> bool:
        """Whether the result or the error is still to come."""
        return self._request.running

    @property
    def log(self) -> str:
        """The output of the child process that was not an event."""
        return self._request.log

    @property
    def remainingSeconds(self) -> float | None:
        """Expected seconds until the current stage ends; None while unknown."""
        if self._firstStep is None or not self.total:
            return None
        start, first = self._firstStep
        if self.done <= first:
            return None
        return (time.monotonic() - start) / (self.done - first) * (self.total - self.done)

    def poll(self) -> None:
        """Read the events of the child process."""
        for event in self._request.events():
            if isinstance(event, StageEvent):
                self.stage, self.message = event.stage, event.message
                self.done, self.total = 0, 0
                self._firstStep = None
            elif isinstance(event, ProgressEvent):
                self.done, self.total = event.done, event.total
                # The time of the first step does not count: it includes loading a member.
                self._firstStep = self._firstStep or (time.monotonic(), self.done)

    def finish(self) -> ResultNodes:
        """Load the result into the scene and show it, once the child process is done.

        Returns
        -------
        ResultNodes
            The result.

        Raises
        ------
        InferenceError
            If there is no result; the scene is then as it was before.
        """
        try:
            self.check()
            volume = slicer.mrmlScene.GetNodeByID(self._volumeID)
            if volume is None:
                raise InferenceError(_("The volume was removed while it was being segmented."))
            return loadResult(self._folder / RESULT, volume, self.timePoint)
        finally:
            self._removeFolder()

    def check(self) -> None:
        """Raise the error of the segmentation, once the child process is done.

        Raises
        ------
        InferenceError
            If the segmentation failed or was cancelled.
        """
        self.poll()
        try:
            self._request.check()
        except InferenceError as error:
            message = str(error)
            for file, name in self._names.items():
                message = message.replace(file, name)
            raise InferenceError(message, error.kind, error.log) from error

    def cancel(self) -> None:
        """Kill the child process and remove the temporary files; after the end this changes nothing."""
        self._request.cancel()
        self._removeFolder()

    def wait(self, progress: Progress | None = None) -> None:
        """Wait until the child process is done.

        Parameters
        ----------
        progress
            Called with `done`, `total` and `stage`.
        """

        def poll() -> None:
            self.poll()
            if progress is not None and self.total:
                progress(self.done, self.total, self.stage)

        wait(self, poll)

    def _removeFolder(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
