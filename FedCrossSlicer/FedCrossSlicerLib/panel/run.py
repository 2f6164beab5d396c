"""Apply, progress, cancel, log."""

from typing import Any

import qt
from slicer.i18n import tr as _

from FedCrossSlicerLib.tasks.segmentation import SegmentationTask
from FedCrossSlicerLib.tasks.sequence import SequenceTask


class RunSection:
    """Shows how a segmentation is getting on.

    Parameters
    ----------
    ui
        Named children of the loaded .ui.
    """

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self._log = ""
        ui.copyLogButton.connect("clicked(bool)", self._copyLog)

    def say(self, text: str) -> None:
        """Say one thing to the user."""
        self.ui.statusLabel.text = text

    def showLog(self, log: str) -> None:
        """Show what the child said beside its events."""
        if log != self._log:
            self._log = log
            self.ui.logText.plainText = log

    def showTask(self, task: SegmentationTask | SequenceTask) -> None:
        """Show stage, patches and remaining time; a total of 0 shows a bar that is merely busy."""
        self.ui.progressBar.setRange(0, task.total)
        self.ui.progressBar.setValue(task.done)
        self.showLog(task.log)
        if not task.message:
            return
        remaining = task.remainingSeconds
        if remaining is None:
            self.say(task.message)
        else:
            self.say(
                _("{message}: patch {done} of {total}, {time} left").format(
                    message=task.message, done=task.done, total=task.total, time=inWords(remaining)
                )
            )

    def refresh(self, ready: str, busy: bool) -> None:
        """Enable what can be done now; `ready` says what is still lacking, ``""`` for nothing."""
        self.ui.applyButton.enabled = not ready and not busy
        self.ui.applyButton.toolTip = ready or _(
            "Segment the volume and show where the members disagree."
        )
        self.ui.cancelButton.enabled = busy
        self.ui.progressBar.visible = busy

    def _copyLog(self, *_args: Any) -> None:
        qt.QApplication.clipboard().setText(self._log)


def inWords(seconds: float) -> str:
    """Return a time as a person would say it, rounded up."""
    whole = max(1, round(seconds))
    if whole < 60:
        return _("{seconds} s").format(seconds=whole)
    return _("{minutes} min").format(minutes=-(-whole // 60))
