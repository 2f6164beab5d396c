"""The panel: its sections, and the segmentation under way."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from FedCrossSlicerLib.child.devices import DeviceProbe, Devices
from FedCrossSlicerLib.child.pool import WORKERS
from FedCrossSlicerLib.errors import InferenceError, InstallError
from FedCrossSlicerLib.panel.input import InputSection
from FedCrossSlicerLib.panel.install import InstallSection
from FedCrossSlicerLib.panel.parameters import Parameters, thresholds
from FedCrossSlicerLib.panel.result import ResultSection
from FedCrossSlicerLib.panel.review import ReviewSection
from FedCrossSlicerLib.panel.run import RunSection
from FedCrossSlicerLib.panel.uncertainty import UncertaintySection
from FedCrossSlicerLib.scene.nodes import ROLE, ResultNodes
from FedCrossSlicerLib.scene.sequences import timePoints
from FedCrossSlicerLib.setup import install
from FedCrossSlicerLib.tasks.segmentation import SegmentationTask
from FedCrossSlicerLib.tasks.sequence import SequenceTask

POLL_MS = 100


class Panel:
    """Connects the .ui to the logic.

    Parameters
    ----------
    ui
        Named children of the loaded .ui.
    logic
        With `start` and `getParameterNode`.
    root
        The panel's own widget.
    """

    def __init__(self, ui: Any, logic: Any, root: Any) -> None:
        self.ui = ui
        self.logic = logic
        self.ensureInstalled: Callable[[Callable[[str], bool]], bool] = install.ensure
        self.ask = _ask
        self.input = InputSection(ui, self.refresh)
        self.run = RunSection(ui)
        self.result = ResultSection(ui)
        self.uncertainty = UncertaintySection(ui)
        self.review = ReviewSection(ui, root)
        self.install = InstallSection(ui, self._confirm, self._probeAgain)
        self._installed = False
        self._task: SegmentationTask | SequenceTask | None = None
        self._parameters: Parameters | None = None
        self._gui: Any = None
        self._observed: list[tuple[Any, Any]] = []
        self._probe: DeviceProbe | None = None
        self._devices: Devices | None = None
        self._timer = _timer(self._poll)
        self._probeTimer = _timer(self._pollProbe)
        ui.applyButton.connect("clicked(bool)", self.apply)
        ui.cancelButton.connect("clicked(bool)", self.cancel)

    def open(self) -> None:
        """Show the scene's parameters; the volume on view and the last result are preselected."""
        self.close()
        self._parameters = self.logic.getParameterNode()
        self._preselect()
        if self._parameters.result is None:
            results = ResultNodes.all(slicer.mrmlScene)
            self._parameters.result = results[-1].segmentation if results else None
        self._gui = self._parameters.connectParametersToGui(_namedWidgets(self.ui))
        self._observe(self._parameters, self.refresh)
        self._observe(_firstView(), self._preselect)
        self.uncertainty.forget()
        self.review.listen(True)
        self.refresh()
        self._startProbe()

    def close(self) -> None:
        """Let go of the scene's parameters."""
        self.review.listen(False)
        if self._parameters is not None:
            for node, tag in self._observed:
                node.RemoveObserver(tag)
            self._observed = []
            self._parameters.disconnectGui(self._gui)
            self._parameters = None

    def apply(self, *_args: Any) -> None:
        """Start segmenting."""
        if self._task is not None:
            return
        try:
            if not self._ready():
                self.run.say(_("Nothing was installed, so nothing can be segmented."))
                return
            self._task = self._start(self._kept())
        except (InferenceError, InstallError) as error:
            self.run.say(str(error))
            return
        self.ui.bundleEdit.addCurrentPathToHistory()
        self.run.say(_("Starting"))
        self.run.showTask(self._task)
        self._timer.start()
        self.refresh()

    def cancel(self, *_args: Any) -> None:
        """Stop, leaving nothing behind."""
        if self._task is None:
            return
        self._takeTask().cancel()
        self.run.say(_("Cancelled."))
        self.refresh()

    def refresh(self, *_args: Any) -> None:
        """Bring every section up to date with the parameters."""
        parameters = self._parameters
        if parameters is None or slicer.mrmlScene.IsImporting():
            return  # after an import the panel is opened anew
        nodes = ResultNodes.of(parameters.result)
        self.input.refresh(parameters.inputVolume)
        self.run.refresh(self._lacking(parameters), self._task is not None)
        self.result.refresh(nodes, thresholds(parameters))
        self.uncertainty.refresh(nodes, parameters)
        self.review.refresh(nodes)

    def stop(self) -> None:
        """End everything that runs: the module is unloaded, or Slicer quits."""
        self.cancel()
        WORKERS.end()
        self._stopProbe()
        self.close()

    def _observe(self, node: Any, slot: Callable[..., None]) -> None:
        if node is not None:
            self._observed.append((node, node.AddObserver(vtk.vtkCommand.ModifiedEvent, slot)))

    def _preselect(self, *_args: Any) -> None:
        """Choose the volume on view, as long as none is chosen."""
        parameters = self._parameters
        if parameters is None or slicer.mrmlScene.IsImporting():
            return
        if parameters.inputVolume is None:
            parameters.inputVolume = _volumeOnView()

    def _lacking(self, parameters: Parameters) -> str:
        if parameters.inputVolume is None:
            return _("Choose a volume first.")
        return "" if self.input.path else _("Choose a bundle first.")

    def _ready(self) -> bool:
        """Whether the child's packages are there; asked once, since asking takes a second."""
        if not self._installed:
            self._installed = self.ensureInstalled(self._confirm)
            if self._installed and not (self._devices and self._devices.torch):
                self._probeAgain()
        return self._installed

    def _confirm(self, question: str) -> bool:
        return self.ask(question)

    def _poll(self) -> None:
        task = self._task
        if task is None:
            return
        task.poll()
        self.run.showTask(task)
        if not task.running:
            self._finish()

    def _finish(self) -> None:
        task = self._takeTask()
        try:
            nodes = task.finish()
        except InferenceError as error:
            self._tell(error, task.log)
        else:
            self.run.say(_("Done: {name}.").format(name=nodes.name))
            self._look(nodes)
        self.refresh()

    def _look(self, nodes: ResultNodes) -> None:
        self.uncertainty.forget()
        self._kept().result = nodes.segmentation

    def _kept(self) -> Parameters:
        """The scene's parameters, also while another module is on view."""
        return self._parameters or self.logic.getParameterNode()

    def _tell(self, error: InferenceError, log: str) -> None:
        """Say what went wrong; when a GPU was too small, offer the CPU."""
        self.run.say(str(error))
        self.run.showLog(error.log or log)
        if error.kind != "DeviceError" or self.input.device == "cpu":
            return
        question = _("{error}\n\nSegment on the CPU instead? That takes longer.")
        if self.ask(question.format(error=error)):
            self.input.useCPU()
            self.apply()

    def _start(self, parameters: Parameters) -> SegmentationTask | SequenceTask:
        volume, bundle = parameters.inputVolume, Path(self.input.path)
        options, roi = replace(self.input.options, localise=parameters.localise), parameters.roi
        if parameters.allTimePoints and timePoints(volume):
            return SequenceTask(self.logic, volume, bundle, options, roi)
        return self.logic.start(volume, bundle, options, roi)

    def _takeTask(self) -> SegmentationTask | SequenceTask:
        assert self._task is not None
        task, self._task = self._task, None
        self._timer.stop()
        return task

    def _startProbe(self) -> None:
        """Look for graphics cards once, in a process of its own: it takes seconds."""
        if self._probe is None:
            self._probe = DeviceProbe()
            self._probe.start()
            self._probeTimer.start()

    def _probeAgain(self) -> None:
        """Look once more: what was installed may know other cards."""
        self._stopProbe()
        self._startProbe()

    def _stopProbe(self) -> None:
        self._probeTimer.stop()
        if self._probe is not None:
            self._probe.cancel()
            self._probe = None

    def _pollProbe(self) -> None:
        self._devices = self._probe.poll() if self._probe is not None else None
        if self._devices is not None:
            self._probeTimer.stop()
            self.input.showDevices(self._devices)


def _timer(slot: Callable[[], None]) -> Any:
    timer = qt.QTimer()
    timer.setInterval(POLL_MS)
    timer.connect("timeout()", slot)
    return timer


def _ask(question: str) -> bool:
    return bool(slicer.util.confirmOkCancelDisplay(question, _("FedCross")))


def _firstView() -> Any:
    """What the first slice view shows; None without views."""
    return slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")


def _volumeOnView() -> Any:
    """The first slice view's background, else the scene's first volume, else None."""
    scene, composite = slicer.mrmlScene, _firstView()
    shown = composite and scene.GetNodeByID(composite.GetBackgroundVolumeID() or "")
    candidates = [shown, *slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")]
    return next(filter(_canBeSegmented, candidates), None)


def _canBeSegmented(node: Any) -> bool:
    """Whether the selector lists it: no label map, which is a scalar volume too, and no map of ours."""
    return (
        node is not None
        and node.GetClassName() == "vtkMRMLScalarVolumeNode"
        and not node.GetHideFromEditors()
        and not node.GetAttribute(ROLE)
    )


def _namedWidgets(ui: Any) -> dict[str, Any]:
    """The widgets of parameters, by these; what Slicer's `connectGui` does, but that gives no tag."""
    named = {widget.property("SlicerParameterName"): widget for widget in vars(ui).values()}
    return {name: widget for name, widget in named.items() if name}
