"""Apply, progress, cancelling and log of a segmentation."""

import html
from typing import Any

import qt
from slicer.i18n import tr as _

from FedCrossSlicerLib.tasks.sequence import SequenceTask
from FedCrossSlicerLib.tasks.task import SegmentationTask


class RunSection:
    """The buttons Apply and Cancel, the progress bar, the message below it and the log.

    Parameters
    ----------
    ui
        The named widgets of the .ui file.
    """

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self._log = ""
        ui.copyLogButton.connect("clicked(bool)", self._copyLog)

    def showMessage(self, text: str) -> None:
        """Show a message to the user."""
        self.ui.statusLabel.text = text

    def showLog(self, log: str) -> None:
        """Show the output of the child process that was not an event."""
        if log != self._log:
            self._log = log
            self.ui.logText.plainText = log

    def showTask(self, task: SegmentationTask | SequenceTask) -> None:
        """Show stage, patches and remaining time; while the total is 0, the bar shows no number."""
        self.ui.progressBar.setRange(0, task.total)
        self.ui.progressBar.setValue(task.done)
        self.showLog(task.log)
        if not task.message:
            return
        remaining = task.remainingSeconds
        if remaining is None:
            self.showMessage(task.message)
        else:
            self.showMessage(
                _("{message}: patch {done} of {total}, {time} left").format(
                    message=task.message,
                    done=task.done,
                    total=task.total,
                    time=durationText(remaining),
                )
            )

    def refresh(self, missing: str, busy: bool) -> None:
        """Enable or disable the buttons.

        Parameters
        ----------
        missing
            What the user has to choose before Apply works; ``""`` if nothing is missing.
        busy
            Whether a segmentation or a check of the packages is running.
        """
        self.ui.applyButton.enabled = not missing and not busy
        self.ui.applyButton.toolTip = html.escape(missing) or _(
            "Segment the volume and show where the members disagree."
        )
        self.ui.cancelButton.enabled = busy
        if not busy:
            self.ui.progressBar.setRange(0, 0)  # until a task tells its steps
        self.ui.progressBar.visible = busy

    def _copyLog(self, *_args: Any) -> None:
        qt.QApplication.clipboard().setText(self._log)


def durationText(seconds: float) -> str:
    """Return a duration in seconds or, from one minute on, in minutes, rounded up."""
    whole = max(1, round(seconds))
    if whole < 60:
        return _("{seconds} s").format(seconds=whole)
    return _("{minutes} min").format(minutes=-(-whole // 60))
