"""The panel: choose, apply, watch, cancel."""

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from FedCrossSlicerLib import install
from FedCrossSlicerLib.child import Options
from FedCrossSlicerLib.errors import InferenceError, InstallError
from FedCrossSlicerLib.figures import Figure, readFigures
from FedCrossSlicerLib.logic import SegmentationTask
from FedCrossSlicerLib.parameters import Parameters

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
        ensureInstalled: Callable[[install.Ask], bool] = install.ensure,
    ) -> None:
        self.ui = ui
        self.logic = logic
        self._ensureInstalled = ensureInstalled
        self._installed = False
        self._task: SegmentationTask | None = None
        self._parameters: Parameters | None = None
        self._guiTag: Any = None
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.connect("timeout()", self._poll)
        ui.applyButton.connect("clicked(bool)", self.apply)
        ui.cancelButton.connect("clicked(bool)", self.cancel)
        ui.folderButton.connect("clicked(bool)", self._browseFolder)
        ui.inputSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._refresh)
        ui.bundleEdit.connect("currentPathChanged(QString)", self._refresh)

    def open(self) -> None:
        """Show the scene's parameters; the volume on view is preselected."""
        self.close()
        self._parameters = self.logic.getParameterNode()
        self._guiTag = self._parameters.connectGui(self.ui)
        if self._parameters.inputVolume is None:
            self._parameters.inputVolume = _volumeOnView()
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
        options = Options(device=parameters.device.value, measure=parameters.measure.value)
        try:
            if not self._ready():
                self._say(_("Nothing was installed, so nothing can be segmented."))
                return
            path = self.ui.bundleEdit.currentPath
            self._task = self.logic.start(parameters.inputVolume, path, options)
        except (InferenceError, InstallError) as error:
            self._say(str(error))
            return
        self.ui.bundleEdit.addCurrentPathToHistory()
        self._say(_("Starting"))
        self._showProgress(0, 0)
        self._timer.start()
        self._refresh()

    def cancel(self, *_args: Any) -> None:
        """Stop, leaving nothing behind."""
        if self._task is None:
            return
        self._takeTask().cancel()
        self._say(_("Cancelled."))
        self._refresh()

    def _ready(self) -> bool:
        """Whether the child's packages are there; asked once, since asking takes a second."""
        self._installed = self._installed or self._ensureInstalled(self._ask)
        return self._installed

    def _poll(self) -> None:
        task = self._task
        if task is None:
            return
        task.poll()
        self._showProgress(task.done, task.total)
        if task.message:
            self._say(task.message)
        if not task.running:
            self._finish()

    def _finish(self) -> None:
        try:
            nodes = self._takeTask().finish()
        except InferenceError as error:
            self._say(str(error))
        else:
            self._say(describe(readFigures(nodes.figures)))
        self._refresh()

    def _takeTask(self) -> SegmentationTask:
        assert self._task is not None
        task, self._task = self._task, None
        self._timer.stop()
        return task

    def _showProgress(self, done: int, total: int) -> None:
        """A total of 0 shows a bar that is merely busy."""
        self.ui.progressBar.setRange(0, total)
        self.ui.progressBar.setValue(done)

    def _browseFolder(self, *_args: Any) -> None:
        """The path line's own button chooses files only; a bundle is as often a folder."""
        edit = self.ui.bundleEdit
        folder = qt.QFileDialog.getExistingDirectory(
            slicer.util.mainWindow(), _("Choose the bundle's folder"), edit.currentPath
        )
        if folder:
            edit.currentPath = folder

    def _refresh(self, *_args: Any) -> None:
        busy = self._task is not None
        ready = bool(self.ui.inputSelector.currentNode() and self.ui.bundleEdit.currentPath)
        self.ui.applyButton.enabled = ready and not busy
        self.ui.applyButton.toolTip = (
            _("Segment the volume and show where the members disagree.")
            if ready
            else _("Choose a volume and a bundle first.")
        )
        self.ui.cancelButton.enabled = busy
        self.ui.progressBar.visible = busy

    def _say(self, text: str) -> None:
        self.ui.statusLabel.text = text

    def _ask(self, question: str) -> bool:
        return bool(slicer.util.confirmOkCancelDisplay(question, _("FedCross")))


def describe(figures: list[Figure]) -> str:
    """Return one line per structure: the ensemble's volume and the members' range."""
    return "\n".join(
        _("{name}: {volume:.1f} mL (members {low:.1f} to {high:.1f} mL)").format(
            name=figure.name,
            volume=figure.volume,
            low=figure.low,
            high=figure.high,
        )
        for figure in figures
    )


def _volumeOnView() -> Any:
    """The first slice view's background, else the scene's first volume, else None."""
    scene = slicer.mrmlScene
    composite = scene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    shown = composite and scene.GetNodeByID(composite.GetBackgroundVolumeID() or "")
    if shown and shown.GetClassName() == "vtkMRMLScalarVolumeNode":
        return shown
    return scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
