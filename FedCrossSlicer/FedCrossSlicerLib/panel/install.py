"""The packages that the child needs: looked at, installed, installed from a folder."""

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
    """Three buttons and what came of them.

    Parameters
    ----------
    ui
        Named children of the loaded .ui.
    ask
        Shows a question; True = go ahead.
    installed
        Called when something may have been installed.
    installer
        `fedcross`'s `install` module; replaced in tests.
    """

    def __init__(
        self,
        ui: Any,
        ask: Callable[[str], bool],
        installed: Callable[[], None],
        installer: Any = install,
    ) -> None:
        self.ui = ui
        self._ask = ask
        self._installed = installed
        self.installer = installer
        ui.checkButton.connect("clicked(bool)", self._check)
        ui.installButton.connect("clicked(bool)", self._install)
        ui.wheelsButton.connect("clicked(bool)", self._fromFolder)

    def _check(self, *_args: Any) -> None:
        self._say(self.installer.checkInstallation)

    def _install(self, *_args: Any) -> None:
        self._say(lambda: self._outcome(self.installer.ensure(self._ask, faster=True)))

    def _fromFolder(self, *_args: Any) -> None:
        folder = qt.QFileDialog.getExistingDirectory(
            slicer.util.mainWindow(), _("Choose the folder with the wheels"), ""
        )
        if folder:
            self._say(lambda: self._outcome(self.installer.ensure(self._ask, wheels=Path(folder))))

    def _outcome(self, there: bool) -> str:
        WORKERS.end()  # one that runs knows the packages of before
        self._installed()
        return _("Everything is installed.") if there else _("Nothing was installed.")

    def _say(self, work: Callable[[], str]) -> None:
        self.ui.installLabel.text = _("Please wait...")
        slicer.app.processEvents()
        try:
            self.ui.installLabel.text = work()
        except InstallError as error:
            self.ui.installLabel.text = str(error)
