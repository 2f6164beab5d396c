"""Save a result as DICOM: a child process makes the files, from what the scene holds and the series."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import cast

from slicer.i18n import tr as _

from fedcross.contract.dicom import DicomRequest
from fedcross.contract.events import StageEvent
from fedcross.contract.files import DICOM_FILES, ENSEMBLE, UNCERTAINTY
from fedcross.contract.measures import Measure
from FedCrossSlicerLib.child.command import childEnvironment, dicomCommand
from FedCrossSlicerLib.child.process import InferenceProcess
from FedCrossSlicerLib.child.request import RunningRequest
from FedCrossSlicerLib.child.workspace import temporaryFolder
from FedCrossSlicerLib.errors import InferenceError
from FedCrossSlicerLib.scene import roles
from FedCrossSlicerLib.scene.nodes import ResultNodes
from FedCrossSlicerLib.tasks.export import exportVolume
from FedCrossSlicerLib.tasks.series import obstacle, sourceFiles
from FedCrossSlicerLib.tasks.wait import wait

DicomStarter = Callable[[Path], RunningRequest]
"""Starts the child process for the folder of a request; tests replace it."""


def _start(folder: Path) -> RunningRequest:
    return InferenceProcess(dicomCommand(folder), childEnvironment())


class DicomTask:
    """The making of the DICOM files of one result, in a child process.

    The files hold the result as it was computed: label map and mean probabilities of the ensemble, and
    the map of the requested measure. What the user has edited since is not in them.

    Parameters
    ----------
    nodes
        The result.
    out
        Folder for the files `fedcross.contract.files.DICOM_FILES`; older ones in it are replaced.
    starter
        Starts the child process.

    Attributes
    ----------
    message
        Name of the current stage, for people.

    Raises
    ------
    InferenceError
        If the result cannot be saved as DICOM, a file of the series is missing, or the child process
        cannot be started.
    """

    def __init__(self, nodes: ResultNodes, out: Path, starter: DicomStarter = _start) -> None:
        reason = obstacle(nodes)
        ensemble, volume = nodes.ensemble, nodes.volume
        if reason or ensemble is None or volume is None:
            raise InferenceError(reason)
        request = DicomRequest(
            description=str(ensemble.GetAttribute(roles.DESCRIPTION) or ""),
            measure=cast("Measure", nodes.requestedMeasure),
            files=tuple(sourceFiles(volume)),
            out=out.absolute(),
        )
        self.message = _("Starting")
        self._out = out
        self._folder = temporaryFolder()
        try:
            exportVolume(ensemble, self._folder / ENSEMBLE)
            exportVolume(nodes.maps[nodes.requestedMeasure], self._folder / UNCERTAINTY)
            request.write(self._folder)
            self._request = starter(self._folder)
        except OSError as error:
            self._removeFolder()
            raise InferenceError(
                _("The result could not be exported: {why}.").format(why=error.strerror)
            ) from error
        except BaseException:
            self._removeFolder()
            raise

    @property
    def running(self) -> bool:
        """Whether the files or the error are still to come."""
        return self._request.running

    def poll(self) -> None:
        """Read the events of the child process."""
        for event in self._request.events():
            if isinstance(event, StageEvent):
                self.message = event.message

    def finish(self) -> list[Path]:
        """Return the files, once the child process is done.

        Raises
        ------
        InferenceError
            If the child process failed or was cancelled; no file was written or replaced then.
        """
        try:
            self.poll()
            self._check()
            return [self._out / name for name in DICOM_FILES]
        finally:
            self._removeFolder()

    def cancel(self) -> None:
        """Kill the child process and remove the temporary files."""
        self._request.cancel()
        self._removeFolder()

    def _check(self) -> None:
        try:
            self._request.check()
        except InferenceError as error:
            if error.kind:
                raise
            # It ended without an event.
            message = _("The DICOM files could not be made. See the log.")
            raise InferenceError(message, log=error.log) from error

    def _removeFolder(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def saveAsDicom(nodes: ResultNodes, out: str | Path) -> list[Path]:
    """Save a result as DICOM, wait until it is done, and return the files.

    Parameters
    ----------
    nodes, out
        See `DicomTask`.

    Raises
    ------
    InferenceError
        If the files cannot be made.
    """
    task = DicomTask(nodes, Path(out))
    try:
        wait(task, task.poll)
        return task.finish()
    except BaseException:
        task.cancel()
        raise
