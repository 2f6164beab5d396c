"""From a volume node and a bundle to a result in the scene. MRML, but no Qt.

`start` returns at once; whoever called it polls the task (the panel with a timer). `segment` waits.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import slicer

from FedCrossSlicerLib.errors import InferenceError
from FedCrossSlicerLib.nrrd import requireWhole
from FedCrossSlicerLib.presentation import Presented, present
from FedCrossSlicerLib.process import InferenceProcess
from FedCrossSlicerLib.workspace import temporaryFolder

Progress = Callable[[int, int, str], None]
POLL_S = 0.05
VOLUME, RESULT = "volume.nrrd", "result"


@dataclass(frozen=True)
class Options:
    """How to segment; the values are those of ``python -m fedcross.infer``."""

    device: str = "auto"
    precision: str = "auto"
    measure: str = "std"


class Process(Protocol):
    """What a task needs of a running child; `InferenceProcess` is the real one."""

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


Starter = Callable[[Sequence[str], Mapping[str, str]], Process]


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
    """

    def __init__(self, volume: Any, folder: Path, process: Process) -> None:
        self._volumeID = volume.GetID()
        self._folder = folder
        self._process = process
        self.done, self.total = 0, 0
        self.stage, self.message = "start", ""

    @property
    def running(self) -> bool:
        """Whether the child is still at work."""
        return self._process.running

    @property
    def log(self) -> str:
        """What the child said beside its events."""
        return self._process.log

    def poll(self) -> None:
        """Take in what the child said."""
        for event in self._process.events():
            if event["event"] == "stage":
                self.stage, self.message = str(event.get("stage")), str(event.get("message"))
                self.done, self.total = 0, 0
            elif event["event"] == "progress":
                self.done, self.total = _count(event.get("done")), _count(event.get("total"))

    def finish(self) -> Presented:
        """Show the result; the child must have ended.

        Raises
        ------
        InferenceError
            If there is none; nothing was then added to the scene.
        """
        try:
            self.poll()
            self._process.check()
            volume = slicer.mrmlScene.GetNodeByID(self._volumeID)
            if volume is None:
                raise InferenceError("The volume was removed while it was being segmented.")
            return present(self._folder / RESULT, volume)
        finally:
            self._clean()

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
        Starts the child; replaced in tests.
    """

    def __init__(self, starter: Starter = InferenceProcess) -> None:
        self._starter = starter

    def start(
        self, volume: Any, bundle: str | Path, options: Options | None = None
    ) -> SegmentationTask:
        """Export the volume and start the child.

        Parameters
        ----------
        volume
            Scalar volume node with an image; its parent transform is honoured.
        bundle
            Bundle folder or ``.zip``.

        Raises
        ------
        InferenceError
            If the volume has no image or the child cannot be started.
        """
        if volume is None or volume.GetImageData() is None:
            raise InferenceError("Choose a volume that has an image.")
        folder = temporaryFolder()
        try:
            exportVolume(volume, folder / VOLUME)
            command = childCommand(folder, Path(bundle), options or Options())
            process = self._starter(command, childEnvironment())
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return SegmentationTask(volume, folder, process)

    def segment(
        self,
        volume: Any,
        bundle: str | Path,
        options: Options | None = None,
        progress: Progress | None = None,
    ) -> Presented:
        """Segment a volume and wait for the result; the arguments are those of `start`.

        Raises
        ------
        InferenceError
            One sentence; the scene is then as it was.
        """
        task = self.start(volume, bundle, options)
        try:
            task.wait(progress)
            return task.finish()
        except BaseException:
            task.cancel()
            raise


def exportVolume(volume: Any, path: Path) -> None:
    """Write a volume node's image where it is seen: with its parent transform applied.

    The transform is hardened on a copy that is removed again; the node itself stays as it is. The copy
    shares the voxels, unless the transform bends space: then it is resampled.

    Raises
    ------
    InferenceError
        If the image cannot be written.
    """
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    storage.UseCompressionOff()
    copy = _hardenedCopy(volume) if volume.GetParentTransformNode() is not None else None
    try:
        storage.WriteData(copy or volume)
        requireWhole(path)  # the storage node reports success on a full disk
    except InferenceError as error:
        raise InferenceError(f"{volume.GetName()} could not be exported: {error}") from error
    finally:
        if copy is not None:
            display = copy.GetDisplayNode()
            slicer.mrmlScene.RemoveNode(copy)
            if display is not None:
                slicer.mrmlScene.RemoveNode(display)


def _hardenedCopy(volume: Any) -> Any:
    copy = slicer.vtkSlicerVolumesLogic.CloneVolumeWithoutImageData(
        slicer.mrmlScene, volume, "FedCross export"
    )
    copy.SetAndObserveImageData(volume.GetImageData())
    copy.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    copy.HardenTransform()
    return copy


def childCommand(folder: Path, bundle: Path, options: Options) -> list[str]:
    """Return the child's command line."""
    arguments = {
        "--bundle": str(bundle),
        "--image": str(folder / VOLUME),
        "--out": str(folder / RESULT),
        "--measure": options.measure,
        "--device": options.device,
        "--precision": options.precision,
    }
    flat = [word for pair in arguments.items() for word in pair]
    return [childPython(), "-m", "fedcross.infer", *flat, "--events"]


def childPython() -> str:
    """Return the Python that runs the child.

    In Slicer that is PythonSlicer, which sets Slicer's paths; `sys.executable` may be Slicer itself.
    """
    return shutil.which("PythonSlicer") or sys.executable


def childEnvironment() -> dict[str, str]:
    """Return our environment, with the package's folder found and UTF-8 spoken."""
    paths = [str(packageFolder()), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "PYTHONUTF8": "1",
    }


def packageFolder() -> Path:
    """Return the folder that holds `fedcross`: beside the installed module, or in the source tree."""
    module = Path(__file__).resolve().parent.parent
    source = module.parent / "training" / "src"
    return source if source.is_dir() else module


def _count(value: Any) -> int:
    """A number of steps; 0 for what is none, since a child may say anything."""
    return value if isinstance(value, int) and value > 0 else 0
