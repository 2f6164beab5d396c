"""The panel: its sections, and the segmentation that is running."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _

from fedcross.errors import DeviceError
from FedCrossSlicerLib.child.pool import WORKERS
from FedCrossSlicerLib.errors import InferenceError
from FedCrossSlicerLib.panel.devices import DeviceSearch
from FedCrossSlicerLib.panel.dicom import DicomSection
from FedCrossSlicerLib.panel.input import InputSection
from FedCrossSlicerLib.panel.install import InstallSection
from FedCrossSlicerLib.panel.parameters import Parameters, channelVolumes, thresholds
from FedCrossSlicerLib.panel.result import ResultSection
from FedCrossSlicerLib.panel.review import ReviewSection
from FedCrossSlicerLib.panel.run import RunSection
from FedCrossSlicerLib.panel.uncertainty import UncertaintySection
from FedCrossSlicerLib.panel.widgets.help_window import Help
from FedCrossSlicerLib.panel.widgets.parameter_widgets import parameterWidgets
from FedCrossSlicerLib.panel.widgets.timer import PollTimer
from FedCrossSlicerLib.scene.nodes import ResultNodes
from FedCrossSlicerLib.scene.sequences import timePoints
from FedCrossSlicerLib.scene.volumes import displayedVolume, firstSliceView, isSceneBusy
from FedCrossSlicerLib.tasks.sequence import SequenceTask
from FedCrossSlicerLib.tasks.task import SegmentationTask


class Panel:
    """Connects the widgets of the .ui file to the logic.

    Parameters
    ----------
    ui
        The named widgets of the .ui file.
    logic
        A `FedCrossSlicerLogic`.
    root
        The widget that holds the panel.
    """

    def __init__(self, ui: Any, logic: Any, root: Any) -> None:
        self.ui = ui
        self.logic = logic
        self.confirm = _confirm
        self.input = InputSection(ui, self.refresh)
        self.run = RunSection(ui)
        self.result = ResultSection(ui)
        self.uncertainty = UncertaintySection(ui)
        self.review = ReviewSection(ui, root)
        self.devices = DeviceSearch(self.input.showDevices)
        self.install = InstallSection(ui, self._confirm, self.devices, self.refresh)
        self.dicom = DicomSection(ui, self._confirm, self.install, self.run, self.refresh)
        self.help = Help(ui)
        self._task: SegmentationTask | SequenceTask | None = None
        self._parameters: Any = None  # Parameters, to which Slicer adds methods for widgets
        self._gui: Any = None
        self._observed: list[tuple[Any, int]] = []  # parameters or node, and tag of the observer
        self._timer = PollTimer(self._poll)
        ui.applyButton.connect("clicked(bool)", self.apply)
        ui.cancelButton.connect("clicked(bool)", self.cancel)

    def open(self) -> None:
        """Show the scene's parameters; select the displayed volume and the last result."""
        self.close()
        self._parameters = self.logic.getParameterNode()
        self._selectVolume()
        if self._parameters.result is None:
            results = ResultNodes.all(slicer.mrmlScene)
            self._parameters.result = results[-1].segmentation if results else None
        self._gui = self._parameters.connectParametersToGui(parameterWidgets(self.ui))
        self._observe(self._parameters, self.refresh)
        self._observe(firstSliceView(), self._selectVolume)
        self.uncertainty.reset()
        self.review.enableShortcuts(True)
        self.refresh()
        self.devices.start()

    def close(self) -> None:
        """Disconnect the widgets from the scene's parameters."""
        self.review.enableShortcuts(False)
        if self._parameters is not None:
            for node, tag in self._observed:
                node.RemoveObserver(tag)
            self._observed = []
            self._parameters.disconnectGui(self._gui)
            self._parameters = None

    def apply(self, *_args: Any) -> None:
        """Start a segmentation, unless one is running."""
        if self._isBusy:
            return
        self.run.showMessage(_("Looking for the Python packages"))
        self.install.require(self._begin, self.run.showMessage)

    def cancel(self, *_args: Any) -> None:
        """Cancel what is running, and remove the temporary files of a segmentation."""
        self.install.jobs.cancel()
        self.dicom.cancel()
        if self._task is None:
            return
        self._endTask().cancel()
        self.run.showMessage(_("Cancelled."))
        self.refresh()

    def refresh(self, *_args: Any) -> None:
        """Update every section from the parameters."""
        parameters = self._parameters
        if parameters is None or slicer.mrmlScene.IsImporting():
            return  # after an import the panel is opened again
        nodes = ResultNodes.of(parameters.result)
        self.input.refresh(self._volumes(parameters))
        self.run.refresh(self._missingInput(parameters), self._isBusy)
        self.result.refresh(nodes, thresholds(parameters))
        self.dicom.refresh(nodes, self._isBusy)
        self.uncertainty.refresh(nodes, parameters)
        self.review.refresh(nodes)

    def stop(self) -> None:
        """Stop all background work, because the module is unloaded or Slicer quits."""
        self.cancel()
        WORKERS.end()
        self.close()
        self.uncertainty.reset()
        sections = (self.devices, self.dicom, self.result, self.review, self.help)
        for part in (self.install.jobs, *sections, self._timer):
            part.release()

    def _observe(self, node: Any, slot: Callable[..., None]) -> None:
        if node is not None:
            self._observed.append((node, node.AddObserver(vtk.vtkCommand.ModifiedEvent, slot)))

    def _selectVolume(self, *_args: Any) -> None:
        """Select the displayed volume, if none is selected."""
        parameters = self._parameters
        if parameters is None or slicer.mrmlScene.IsImporting():
            return
        if parameters.inputVolume is None:
            parameters.inputVolume = displayedVolume()

    def _missingInput(self, parameters: Parameters) -> str:
        """What the user has to choose before a segmentation can start; "" if nothing is missing."""
        if parameters.inputVolume is None:
            return _("Choose a volume first.")
        if not self.input.path:
            return _("Choose a bundle first.")
        for name, volume in zip(self.input.channels, self._volumes(parameters), strict=False):
            if volume is None:
                return _("Choose a volume for {name} first.").format(name=name)
        return ""

    def _volumes(self, parameters: Parameters) -> list[Any]:
        """The chosen volume of each channel of the bundle; None if none is chosen."""
        return channelVolumes(parameters, max(1, len(self.input.channels)))

    @property
    def _isBusy(self) -> bool:
        """Whether a segmentation, a check, an installation or the making of DICOM files is running."""
        return self._task is not None or self.install.jobs.running or self.dicom.running

    def _begin(self) -> None:
        """Start a segmentation with the parameters as they are now."""
        parameters = self._currentParameters()
        missing = self._missingInput(parameters)
        if missing:
            self.run.showMessage(missing)
            return
        try:
            self._task = self._start(parameters)
        except InferenceError as error:
            self.run.showMessage(str(error))
            return
        self.ui.bundleEdit.addCurrentPathToHistory()
        self.run.showMessage(_("Starting"))
        self.run.showTask(self._task)
        self._timer.start()
        self.refresh()

    def _confirm(self, question: str) -> bool:
        return self.confirm(question)

    def _poll(self) -> None:
        task = self._task
        if task is None or isSceneBusy():  # the task changes the scene
            return
        task.poll()
        self.run.showTask(task)
        if not task.running:
            self._finish()

    def _finish(self) -> None:
        task = self._endTask()
        try:
            nodes = task.finish()
        except InferenceError as error:
            self._showError(error, task.log)
        else:
            self.run.showMessage(_("Done: {name}.").format(name=nodes.name))
            parameters = self._currentParameters()
            self.uncertainty.present(nodes, parameters)
            parameters.result = nodes.segmentation
        self.refresh()

    def _currentParameters(self) -> Parameters:
        """The scene's parameters, also while another module is open."""
        parameters: Parameters = self._parameters or self.logic.getParameterNode()
        return parameters

    def _showError(self, error: InferenceError, log: str) -> None:
        """Show an error; if the GPU has too little memory, offer the CPU."""
        self.run.showMessage(str(error))
        self.run.showLog(error.log or log)
        if error.kind != DeviceError.__name__ or self.input.device == "cpu":
            return
        question = _("{error}\n\nSegment on the CPU instead? That takes longer.")
        if self.confirm(question.format(error=error)):
            self.input.useCPU()
            self.apply()

    def _start(self, parameters: Parameters) -> SegmentationTask | SequenceTask:
        bundle = Path(self.input.path)
        volume, *further = self._volumes(parameters)
        options, roi = replace(self.input.options, localise=parameters.localise), parameters.roi
        if parameters.allTimePoints and timePoints(volume):
            return SequenceTask(self.logic, volume, bundle, options, roi, further)
        task: SegmentationTask = self.logic.start(volume, bundle, options, roi, further)
        return task

    def _endTask(self) -> SegmentationTask | SequenceTask:
        """Stop polling the task and return it."""
        assert self._task is not None
        task, self._task = self._task, None
        self._timer.stop()
        return task


def _confirm(question: str) -> bool:
    return bool(slicer.util.confirmOkCancelDisplay(question, _("FedCross")))
