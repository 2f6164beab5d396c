"""The section Dependencies: the Python packages of the child process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from FedCrossSlicerLib.child.pool import WORKERS
from FedCrossSlicerLib.errors import InstallError
from FedCrossSlicerLib.setup import install


class InstallSection:
    """Buttons to check the packages and to install them from the network or from a folder.

    Parameters
    ----------
    ui
        The named widgets of the .ui file.
    confirm
        Shows a question; returns whether the user agreed.
    onInstalled
        Called after an attempt to install packages.
    installer
        The module `FedCrossSlicerLib.setup.install`; tests replace it.
    """

    def __init__(
        self,
        ui: Any,
        confirm: Callable[[str], bool],
        onInstalled: Callable[[], None],
        installer: Any = install,
    ) -> None:
        self.ui = ui
        self._confirm = confirm
        self._onInstalled = onInstalled
        self.installer = installer
        ui.checkButton.connect("clicked(bool)", self._check)
        ui.installButton.connect("clicked(bool)", self._install)
        ui.wheelsButton.connect("clicked(bool)", self._installFromFolder)

    def _check(self, *_args: Any) -> None:
        self._run(self.installer.checkInstallation)

    def _install(self, *_args: Any) -> None:
        self._run(lambda: self._outcome(self.installer.ensure(self._confirm, offerOpenVINO=True)))

    def _installFromFolder(self, *_args: Any) -> None:
        folder = qt.QFileDialog.getExistingDirectory(
            slicer.util.mainWindow(), _("Choose the folder with the wheels"), ""
        )
        if folder:
            wheels = Path(folder)
            self._run(lambda: self._outcome(self.installer.ensure(self._confirm, wheels=wheels)))

    def _outcome(self, installed: bool) -> str:
        WORKERS.end()  # a running worker still has the old packages
        self._onInstalled()
        return _("Everything is installed.") if installed else _("Nothing was installed.")

    def _run(self, action: Callable[[], str]) -> None:
        """Call a function and show the text that it returns, or its error."""
        self.ui.installLabel.text = _("Please wait...")
        slicer.app.processEvents()
        try:
            self.ui.installLabel.text = action()
        except InstallError as error:
            self.ui.installLabel.text = str(error)
