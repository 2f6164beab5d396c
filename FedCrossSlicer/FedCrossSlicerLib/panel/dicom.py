"""The button that saves the displayed result as DICOM files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from fedcross.contract.files import DICOM_FILES
from FedCrossSlicerLib.errors import InferenceError
from FedCrossSlicerLib.panel.install import InstallSection
from FedCrossSlicerLib.panel.run import RunSection
from FedCrossSlicerLib.panel.widgets.timer import PollTimer
from FedCrossSlicerLib.scene.edits import isEdited
from FedCrossSlicerLib.scene.nodes import ResultNodes
from FedCrossSlicerLib.tasks.dicom import DicomTask
from FedCrossSlicerLib.tasks.series import obstacle


class DicomSection:
    """Asks for a folder and saves the result there, while Slicer stays responsive.

    Parameters
    ----------
    ui
        The named widgets of the .ui file.
    confirm
        Shows a question; returns whether the user agreed.
    install
        Installs the package that makes DICOM files.
    run
        Shows messages and the log.
    onBusy
        Called when the making of files has started or ended.

    Attributes
    ----------
    makeTask
        Starts the making of files; tests replace it.
    """

    def __init__(
        self,
        ui: Any,
        confirm: Callable[[str], bool],
        install: InstallSection,
        run: RunSection,
        onBusy: Callable[[], None],
    ) -> None:
        self.ui = ui
        self.makeTask: Callable[[ResultNodes, Path], DicomTask] = DicomTask
        self._confirm, self._install, self._run, self._onBusy = confirm, install, run, onBusy
        self._nodes: ResultNodes | None = None
        self._saving: tuple[ResultNodes, Path, DicomTask] | None = None
        self._timer = PollTimer(self._poll)
        ui.dicomButton.connect("clicked(bool)", self._onClicked)

    @property
    def running(self) -> bool:
        """Whether files are being made."""
        return self._saving is not None

    def refresh(self, nodes: ResultNodes | None, busy: bool) -> None:
        """Enable the button for a result that can be saved; its tool tip says why another cannot."""
        self._nodes = nodes
        reason = obstacle(nodes)
        self.ui.dicomButton.enabled = not reason and not busy
        self.ui.dicomButton.toolTip = reason or _(
            "Save segmentation, mean probabilities and uncertainty as DICOM files that refer to the "
            "series, with the patient's identity. They hold the result as it was computed, without "
            "your edits."
        )

    def cancel(self) -> None:
        """Cancel the making of files; none is written then."""
        if self._saving is None:
            return
        self._end().cancel()
        self._run.showMessage(_("Cancelled."))
        self._onBusy()

    def release(self) -> None:
        """Cancel the making of files and disconnect the timer."""
        self.cancel()
        self._timer.release()

    def _onClicked(self, *_args: Any) -> None:
        self._run.showMessage(_("Looking for the Python packages"))
        self._install.requireDicom(self._save, self._run.showMessage)

    def _save(self) -> None:
        """Ask for the folder and start the child process."""
        self._run.showMessage("")
        title = _("Choose the folder for the DICOM files")
        chosen = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title, "")
        nodes = self._nodes
        if not chosen or nodes is None or not self._mayReplace(Path(chosen)):
            return
        try:
            task = self.makeTask(nodes, Path(chosen))
        except InferenceError as error:
            self._run.showMessage(str(error))
            return
        self._saving = nodes, Path(chosen), task
        self._run.showMessage(task.message)
        self._timer.start()
        self._onBusy()

    def _mayReplace(self, folder: Path) -> bool:
        """Whether the folder has no such files, or the user agrees to replace them."""
        existing = [name for name in DICOM_FILES if (folder / name).exists()]
        if not existing:
            return True
        question = _("The folder {folder} already holds {files}. Replace them?")
        return self._confirm(question.format(folder=folder.name, files=", ".join(existing)))

    def _poll(self) -> None:
        if self._saving is None:
            return
        nodes, folder, task = self._saving
        task.poll()
        self._run.showMessage(task.message)
        if task.running:
            return
        self._end()
        try:
            files = task.finish()
        except InferenceError as error:
            self._run.showMessage(str(error))
            self._run.showLog(error.log)
        else:
            names = ", ".join(path.name for path in files)
            text = _("Saved in {folder}: {files}.").format(folder=folder.name, files=names)
            if isEdited(nodes):
                text += " " + _("They hold the result as it was computed, without your edits.")
            self._run.showMessage(text)
        self._onBusy()

    def _end(self) -> DicomTask:
        """Stop polling the task and return it."""
        assert self._saving is not None
        task = self._saving[2]
        self._saving = None
        self._timer.stop()
        return task
