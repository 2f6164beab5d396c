"""The panel: choose, apply, watch, cancel."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from FedCrossSlicerLib import install
from FedCrossSlicerLib.logic import Options, SegmentationTask
from FedCrossSlicerLib.parameters import Parameters
from FedCrossSlicerLib.process import InferenceError

POLL_MS = 100


class Panel:
    """Connects the .ui to the logic.

    Parameters
    ----------
    ui
        Named children of the loaded .ui.
    logic
        With `start` and `getParameterNode`.
    ensureInstalled
        Makes sure that the child's packages are there; replaced in tests.
    """

    def __init__(
        self,
        ui: Any,
        logic: Any,
        ensureInstalled: Callable[[Callable[[str], bool]], bool] = install.ensure,
    ) -> None:
        self.ui = ui
        self.logic = logic
        self._ensureInstalled = ensureInstalled
        self._task: SegmentationTask | None = None
        self._parameters: Parameters | None = None
        self._guiTag: Any = None
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.connect("timeout()", self._poll)
        ui.applyButton.connect("clicked(bool)", self.apply)
        ui.cancelButton.connect("clicked(bool)", self.cancel)
        ui.inputSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._refresh)
        ui.bundleEdit.connect("currentPathChanged(QString)", self._refresh)

    def open(self) -> None:
        """Show the scene's parameters; the volume on view is preselected."""
        self.close()
        self._parameters = self.logic.getParameterNode()
        self._guiTag = self._parameters.connectGui(self.ui)
        if self._parameters.inputVolume is None:
            self._parameters.inputVolume = slicer.mrmlScene.GetFirstNodeByClass(
                "vtkMRMLScalarVolumeNode"
            )
        self._refresh()

    def close(self) -> None:
        """Let go of the scene's parameters."""
        if self._parameters is not None:
            self._parameters.disconnectGui(self._guiTag)
            self._parameters = None

    def apply(self, *_args: Any) -> None:
        """Start segmenting."""
        parameters = self._parameters
        if parameters is None or self._task is not None:
            return
        try:
            if not self._ensureInstalled(self._ask):
                self._say(_("Nothing was installed, so nothing can be segmented."))
                return
            options = Options(device=parameters.device, measure=parameters.measure)
            bundle = Path(parameters.bundlePath)
            self._task = self.logic.start(parameters.inputVolume, bundle, options)
        except (InferenceError, install.InstallError) as error:
            self._say(str(error))
            return
        self._say(_("Starting"))
        self._timer.start()
        self._refresh()

    def cancel(self, *_args: Any) -> None:
        """Stop, leaving nothing behind."""
        if self._task is None:
            return
        task, self._task = self._task, None
        self._timer.stop()
        task.cancel()
        self._say(_("Cancelled."))
        self._refresh()

    def _poll(self) -> None:
        if self._task is None:
            return
        self._task.poll()
        if self._task.total:
            self.ui.progressBar.setMaximum(self._task.total)
            self.ui.progressBar.setValue(self._task.done)
        if self._task.message:
            self._say(self._task.message)
        if not self._task.running:
            self._finish()

    def _finish(self) -> None:
        assert self._task is not None
        task, self._task = self._task, None
        self._timer.stop()
        try:
            presented = task.finish()
        except InferenceError as error:
            self._say(str(error))
        else:
            self._say(_volumes(presented.summary))
        self._refresh()

    def _refresh(self, *_args: Any) -> None:
        busy = self._task is not None
        ready = bool(self.ui.inputSelector.currentNode() and self.ui.bundleEdit.currentPath)
        self.ui.applyButton.enabled = ready and not busy
        self.ui.cancelButton.enabled = busy
        self.ui.progressBar.visible = busy

    def _say(self, text: str) -> None:
        self.ui.statusLabel.text = text

    def _ask(self, question: str) -> bool:
        return bool(slicer.util.confirmOkCancelDisplay(question, _("FedCross")))


def _volumes(summary: dict[str, Any]) -> str:
    """One line per structure: the ensemble's volume and the members' range."""
    return "\n".join(
        _("{name}: {volume:.1f} mL (members {low:.1f} to {high:.1f} mL)").format(
            name=structure["name"],
            volume=structure["volume_ml"],
            low=structure["min_ml"],
            high=structure["max_ml"],
        )
        for structure in summary["structures"]
    )
