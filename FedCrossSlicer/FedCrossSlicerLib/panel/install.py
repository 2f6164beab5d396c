"""The section Dependencies: the Python packages of the child process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from FedCrossSlicerLib.child.pool import WORKERS
from FedCrossSlicerLib.panel.devices import DeviceSearch
from FedCrossSlicerLib.panel.widgets.jobs import JobRunner
from FedCrossSlicerLib.setup import install
from FedCrossSlicerLib.setup.job import Job
from FedCrossSlicerLib.setup.requirements import HIGHDICOM


class InstallSection:
    """Buttons to check the packages and to install them from the network or from a folder.

    Parameters
    ----------
    ui
        The named widgets of the .ui file.
    confirm
        Shows a question; returns whether the user agreed.
    devices
        Searches for graphics cards again after an installation.
    onBusy
        Called when a check or an installation has started or ended.

    Attributes
    ----------
    jobs
        Runs checks and installations.
    isInstalled
        Whether the packages were found; they are not looked for again then.
    installer
        The module `FedCrossSlicerLib.setup.install`; tests replace it.
    """

    def __init__(
        self,
        ui: Any,
        confirm: Callable[[str], bool],
        devices: DeviceSearch,
        onBusy: Callable[[], None],
    ) -> None:
        self.ui = ui
        self.jobs = JobRunner(self._onChanged)
        self.installer: Any = install
        self._confirm = confirm
        self._devices = devices
        self._onBusy = onBusy
        self.isInstalled = self._isDicomInstalled = False
        ui.checkButton.connect("clicked(bool)", self._check)
        ui.installButton.connect("clicked(bool)", self._install)
        ui.wheelsButton.connect("clicked(bool)", self._installFromFolder)

    def require(self, onInstalled: Callable[[], None], onError: Callable[[str], None]) -> None:
        """Call a function once the packages are installed; after the first success call it at once.

        Parameters
        ----------
        onInstalled
            The function.
        onError
            Called with one sentence if a package is missing in the end.
        """

        def onDone(installed: bool) -> None:
            self.isInstalled = installed
            if not installed:
                onError(_("Nothing was installed, so nothing can be segmented."))
                return
            if not self._devices.torchFound:
                self._devices.restart()
            onInstalled()

        if self.isInstalled:
            onInstalled()
        else:
            self.jobs.start(self.installer.ensure(self._confirm), onDone, onError)

    def requireDicom(self, onInstalled: Callable[[], None], onError: Callable[[str], None]) -> None:
        """Call a function once the package that makes DICOM files is installed, too; see `require`."""

        def onDone(installed: bool) -> None:
            self._isDicomInstalled = installed
            if installed:
                onInstalled()
            else:
                onError(_("highdicom is not installed, so no DICOM files can be made."))

        if self._isDicomInstalled:
            onInstalled()
        else:
            self.jobs.start(
                self.installer.ensure(self._confirm, also=(HIGHDICOM,)), onDone, onError
            )

    def _check(self, *_args: Any) -> None:
        self._run(self.installer.checkInstallation(), self._show)

    def _install(self, *_args: Any) -> None:
        self._run(self.installer.ensure(self._confirm, offerOpenVINO=True), self._onInstalled)

    def _installFromFolder(self, *_args: Any) -> None:
        folder = qt.QFileDialog.getExistingDirectory(
            slicer.util.mainWindow(), _("Choose the folder with the wheels"), ""
        )
        if folder:
            also = (HIGHDICOM,) if any(Path(folder).glob("highdicom-*.whl")) else ()
            job = self.installer.ensure(self._confirm, wheels=Path(folder), also=also)
            self._run(job, self._onInstalled)

    def _run(self, job: Job[Any], onDone: Callable[[Any], None]) -> None:
        self._show(_("Please wait..."))
        self.jobs.start(job, onDone, self._show)

    def _onInstalled(self, installed: bool) -> None:
        WORKERS.end()  # a running worker still has the old packages
        self._devices.restart()
        self._show(_("Everything is installed.") if installed else _("Nothing was installed."))

    def _show(self, text: str) -> None:
        self.ui.installLabel.text = text

    def _onChanged(self) -> None:
        for button in (self.ui.checkButton, self.ui.installButton, self.ui.wheelsButton):
            button.enabled = not self.jobs.running
        self._onBusy()
