"""From a volume node and a bundle to a result in the scene. MRML, but no Qt.

`start` returns at once; whoever called it polls the task (the panel with a timer). `segment` waits.
"""

import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import slicer
from slicer.i18n import tr as _

from FedCrossSlicerLib.child.pool import WORKERS
from FedCrossSlicerLib.child.request import RESULT, ROI, VOLUME, Options, requestArguments
from FedCrossSlicerLib.child.workspace import temporaryFolder
from FedCrossSlicerLib.errors import InferenceError
from FedCrossSlicerLib.scene.export import exportVolume
from FedCrossSlicerLib.scene.nodes import ResultNodes
from FedCrossSlicerLib.scene.region import regionOf
from FedCrossSlicerLib.tasks.load import present

Progress = Callable[[int, int, str], None]
POLL_S = 0.05


class Process(Protocol):
    """The interface that a task needs; `FedCrossSlicerLib.child.pool.WorkerRequest` has it."""

    @property
    def running(self) -> bool:
        """Whether it is still at work."""

    @property
    def log(self) -> str:
        """What it said beside its events."""

    def events(self) -> list[dict[str, Any]]:
        """Return the events that came since the last call."""

    def cancel(self) -> None:
        """Kill the child and its children."""

    def check(self) -> None:
        """Raise what went wrong."""


Starter = Callable[[Sequence[str]], Process]


class SegmentationTask:
    """One segmentation under way.

    It ends by `finish`, which brings the result into the scene, or by `cancel`; either removes the
    temporary files.

    Attributes
    ----------
    done, total
        Steps of the present stage; `total` is 0 while they cannot be counted.
    stage, message
        The present stage, for programs and for people.
    remainingSeconds
        Of the present stage, as its steps took so far; None while that cannot be told.
    """

    def __init__(self, volume: Any, folder: Path, process: Process) -> None:
        self._volumeID = volume.GetID()
        self._folder = folder
        self._process = process
        self.done, self.total = 0, 0
        self.stage, self.message = "start", ""
        self._counting: tuple[float, int] | None = None

    @property
    def running(self) -> bool:
        """Whether the child is still at work."""
        return self._process.running

    @property
    def log(self) -> str:
        """What the child said beside its events."""
        return self._process.log

    @property
    def remainingSeconds(self) -> float | None:
        """How long the present stage will take, at the rate so far."""
        if self._counting is None or not self.total:
            return None
        since, first = self._counting
        if self.done <= first:
            return None
        return (time.monotonic() - since) / (self.done - first) * (self.total - self.done)

    def poll(self) -> None:
        """Take in what the child said."""
        for event in self._process.events():
            if event["event"] == "stage":
                self.stage, self.message = str(event.get("stage")), str(event.get("message"))
                self.done, self.total = 0, 0
                self._counting = None
            elif event["event"] == "progress":
                self.done, self.total = _count(event.get("done")), _count(event.get("total"))
                # The first step is left out: loading a member is part of it.
                self._counting = self._counting or (time.monotonic(), self.done)

    def finish(self) -> ResultNodes:
        """Show the result; the child must have ended.

        Raises
        ------
        InferenceError
            If there is none; nothing was then added to the scene.
        """
        try:
            self.check()
            volume = slicer.mrmlScene.GetNodeByID(self._volumeID)
            if volume is None:
                raise InferenceError(_("The volume was removed while it was being segmented."))
            return present(self._folder / RESULT, volume)
        finally:
            self._clean()

    def check(self) -> None:
        """Raise what went wrong, once the child has ended.

        Raises
        ------
        InferenceError
            One sentence.
        """
        self.poll()
        self._process.check()

    def cancel(self) -> None:
        """Kill the child and leave nothing behind; harmless when it has ended."""
        self._process.cancel()
        self._clean()

    def wait(self, progress: Progress | None = None) -> None:
        """Wait for the child's end, passing on its progress."""
        while self._process.running:
            self.poll()
            if progress is not None and self.total:
                progress(self.done, self.total, self.stage)
            slicer.app.processEvents()
            time.sleep(POLL_S)

    def _clean(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


class SegmentationLogic:
    """Starts segmentations.

    Parameters
    ----------
    starter
        Has the words of a request answered; replaced in tests.
    """

    def __init__(self, starter: Starter = WORKERS.start) -> None:
        self._starter = starter

    def start(
        self,
        volume: Any,
        bundle: str | Path,
        options: Options | None = None,
        roi: Any = None,
    ) -> SegmentationTask:
        """Export the volume and start the child.

        Parameters
        ----------
        volume
            Scalar volume node with an image; its parent transform is honoured.
        bundle
            Bundle folder or ``.zip``.
        options
            How to segment; None for the defaults.
        roi
            Markups ROI node: only what lies in its box, where it is seen, is segmented.

        Raises
        ------
        InferenceError
            If the volume has no image or the child cannot be started.
        """
        if volume is None or volume.GetImageData() is None:
            raise InferenceError(_("Choose a volume that has an image."))
        folder = temporaryFolder()
        try:
            exportVolume(volume, folder / VOLUME)
            if roi is not None:
                (folder / ROI).write_text(json.dumps(regionOf(roi)), encoding="utf-8")
            # A worker may have been started in another folder than the present one.
            words = requestArguments(folder, Path(bundle).absolute(), options or Options())
            process = self._starter(words)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return SegmentationTask(volume, folder, process)

    def segment(
        self,
        volume: Any,
        bundle: str | Path,
        options: Options | None = None,
        roi: Any = None,
        progress: Progress | None = None,
    ) -> ResultNodes:
        """Segment a volume and wait for the result; the arguments are those of `start`.

        Raises
        ------
        InferenceError
            One sentence; the scene is then as it was.
        """
        task = self.start(volume, bundle, options, roi)
        try:
            task.wait(progress)
            return task.finish()
        except BaseException:
            task.cancel()
            raise


def _count(value: Any) -> int:
    """A number of steps; 0 for what is none, since a child may say anything."""
    return value if isinstance(value, int) and value > 0 else 0
