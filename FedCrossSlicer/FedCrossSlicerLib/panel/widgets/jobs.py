"""A job of the section Dependencies that runs while Slicer stays responsive."""

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from FedCrossSlicerLib.errors import InstallError
from FedCrossSlicerLib.panel.widgets.timer import PollTimer
from FedCrossSlicerLib.setup.job import BackgroundJob, Job


class JobRunner:
    """Runs one job at a time; a timer continues it.

    Parameters
    ----------
    onChanged
        Called when a job has started or ended.
    """

    def __init__(self, onChanged: Callable[[], None]) -> None:
        self._onChanged = onChanged
        self._job: BackgroundJob[Any] | None = None
        self._onDone: Callable[[Any], None] = lambda _outcome: None
        self._onError: Callable[[str], None] = lambda _message: None
        self._isContinuing = False  # a job may show a dialog, in which timers go on
        self._timer = PollTimer(self._continue)

    @property
    def running(self) -> bool:
        """Whether a job is running."""
        return self._job is not None

    def start(
        self, job: Job[Any], onDone: Callable[[Any], None], onError: Callable[[str], None]
    ) -> None:
        """Start a job, unless one is running.

        Parameters
        ----------
        job
            The job. What it does before its first command is done at once.
        onDone
            Called with what the job returns.
        onError
            Called with the sentence of the error if the job fails or is cancelled.
        """
        if self._job is not None:
            return
        self._job, self._onDone, self._onError = BackgroundJob(job), onDone, onError
        self._timer.start()
        self._onChanged()
        self._continue()

    def cancel(self) -> None:
        """Cancel the job; while it installs packages or asks the user, nothing happens."""
        job = self._job
        if job is None or self._isContinuing:
            return
        job.cancel()
        self._end()
        self._onError(_("Cancelled."))
        self._onChanged()

    def release(self) -> None:
        """Cancel the job and disconnect the timer."""
        self.cancel()
        self._timer.release()

    def _continue(self) -> None:
        job = self._job
        if job is None or self._isContinuing:
            return
        self._isContinuing = True
        try:
            job.poll()
        finally:
            self._isContinuing = False
            if not job.running:
                self._end()
        if not job.running:
            self._report(job)

    def _report(self, job: BackgroundJob[Any]) -> None:
        try:
            result = job.result()
        except InstallError as error:
            self._onError(str(error))
        else:
            self._onDone(result)
        self._onChanged()

    def _end(self) -> None:
        self._job = None
        self._timer.stop()
