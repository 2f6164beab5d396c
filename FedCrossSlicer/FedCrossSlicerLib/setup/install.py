"""Install the packages of the child process into Slicer's Python, after the user has agreed.

The extension SlicerPyTorch installs torch, because it chooses the build for the computer's GPU. Slicer's
pip installs the other packages, each with its oldest version that works.
"""

import importlib
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from slicer.i18n import tr as _

from fedcross.contract.devices import read_devices
from FedCrossSlicerLib.child.devices import devicesCommand
from FedCrossSlicerLib.errors import InstallError
from FedCrossSlicerLib.setup.job import Job, lineOf
from FedCrossSlicerLib.setup.requirements import (
    HIGHDICOM,
    MEGABYTES,
    OPENVINO,
    OPTIONAL,
    REQUIREMENTS,
    TORCH,
    Requirement,
    installedVersions,
    missingRequirements,
)

Confirm = Callable[[str], bool]
"""Shows a question to the user; returns whether the user agreed."""
Probe = Callable[[bool], Job[Mapping[str, str]]]
"""Finds the version of each installed package, by name; True imports each package."""


class Installer(Protocol):
    """Installs packages into Slicer's Python. Both methods raise `InstallError` if they fail."""

    def installTorch(self, requirement: Requirement) -> None:
        """Install torch."""

    def install(self, requirements: Sequence[Requirement]) -> None:
        """Install packages other than torch."""


class SlicerInstaller:
    """Installs from the network. It works only inside Slicer, whose window shows pip's output."""

    def installTorch(self, requirement: Requirement) -> None:
        try:
            import PyTorchUtils
        except ImportError as error:
            raise InstallError(
                _("Install the PyTorch extension in the Extensions Manager and restart Slicer.")
            ) from error
        logic = PyTorchUtils.PyTorchUtilsLogic()
        message = _("PyTorch could not be installed. See the log.")
        try:
            torch = logic.installTorch(torchVersionRequirement=f">={requirement.floor}")
        except (subprocess.CalledProcessError, ImportError, OSError, ValueError) as error:
            raise InstallError(message) from error  # pip failed, or torch cannot be imported
        if torch is None:
            raise InstallError(message)

    def install(self, requirements: Sequence[Requirement]) -> None:
        _pip([str(requirement) for requirement in requirements])


class WheelsInstaller:
    """Installs from a folder of wheels, without network.

    Parameters
    ----------
    folder
        Folder with the wheels of the missing packages and of their dependencies. It decides the build
        of torch.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def installTorch(self, requirement: Requirement) -> None:
        self.install([requirement])

    def install(self, requirements: Sequence[Requirement]) -> None:
        offline = ["--no-index", "--find-links", str(self._folder)]
        _pip([*offline, *(str(requirement) for requirement in requirements)])


def _pip(arguments: list[str]) -> None:
    """Run Slicer's pip with a list of arguments, because paths may contain spaces."""
    import slicer

    try:
        # Slicer 5.12 and newer: a window shows the progress.
        install = importlib.import_module("slicer.packaging").pip_install
    except ImportError:
        install = slicer.util.pip_install
    try:
        install(arguments)
    except subprocess.CalledProcessError as error:
        raise InstallError(_("A package could not be installed. See the log.")) from error


def ensure(
    confirm: Confirm,
    installer: Installer | None = None,
    probe: Probe = installedVersions,
    wheels: Path | None = None,
    offerOpenVINO: bool = False,
    also: Sequence[Requirement] = (),
) -> Job[bool]:
    """Install the packages that are missing or too old, after the user has agreed.

    The packages are looked for in the background. Asking the user and installing are not: Slicer's
    dialogs show them.

    Parameters
    ----------
    confirm
        Asks the user.
    installer
        Installs the packages; None for the network, or for the folder `wheels`. Tests replace it.
    probe
        Finds the installed packages; tests replace it.
    wheels
        Folder of wheels to install from; None for the network.
    offerOpenVINO
        Whether to offer the optional OpenVINO even if no other package is missing.
    also
        Optional packages that are required this time.

    Returns
    -------
    bool
        Whether every required package is installed; False if the user did not agree.

    Raises
    ------
    InstallError
        If an installation failed or a package is still missing. The message names the packages that are
        installed and those that are missing; another attempt is always safe.
    """
    before = yield from probe(False)
    missing = missingRequirements(before)
    if (missing or offerOpenVINO) and wheels is None and not OPENVINO.isMetBy(before):
        missing.append(OPENVINO)
    missing += [requirement for requirement in also if not requirement.isMetBy(before)]
    if not missing:
        return True
    if not confirm(question(missing, wheels)):
        return False
    chosen = installer or (WheelsInstaller(wheels) if wheels else SlicerInstaller())
    try:
        if TORCH in missing:
            chosen.installTorch(TORCH)
        others = [requirement for requirement in missing if requirement is not TORCH]
        if others:
            chosen.install(others)
    except InstallError as error:
        left = yield from probe(False)
        raise InstallError(f"{error} {_stateText(missing, left)}") from error
    after = yield from probe(True)
    if missingRequirements(after) or not all(each.isMetBy(after) for each in also):
        raise InstallError(_stateText(missing, after))
    if before.get("numpy") and before["numpy"] != after.get("numpy"):
        raise InstallError(
            _(
                "Everything is installed, but NumPy was replaced. Restart Slicer before you continue."
            )
        )
    return True


def question(missing: Sequence[Requirement], wheels: Path | None = None) -> str:
    """Return the question whether to install packages, with the size of each.

    Parameters
    ----------
    missing
        The packages to install.
    wheels
        Folder of wheels to install from; None for the network.
    """
    lines = [f"  {requirement}  ({_size(requirement)})" for requirement in missing]
    source = (
        _("They come from the folder {name}; nothing is downloaded.").format(name=wheels.name)
        if wheels
        else _("They are downloaded; nothing about you or your patients is sent.")
    )
    return "\n".join(
        [
            _("These Python packages will be installed into Slicer:"),
            *lines,
            source,
            _("Install them now?"),
        ]
    )


def checkInstallation(probe: Probe = installedVersions) -> Job[str]:
    """Import every package in a new process; return one line for each, and for the graphics cards.

    Raises
    ------
    InstallError
        If Slicer's Python cannot be run.
    """
    versions = yield from probe(True)
    lines = [
        f"{requirement.name} {versions[requirement.name]}"
        for requirement in (*REQUIREMENTS, *OPTIONAL)
        if requirement.isMetBy(versions)
    ]
    if not OPENVINO.isMetBy(versions):
        lines.append(_("openvino is not installed. It is optional and faster on a CPU."))
    if not HIGHDICOM.isMetBy(versions):
        lines.append(_("highdicom is not installed. It is optional and saves results as DICOM."))
    missing = missingRequirements(versions)
    if missing:
        names = ", ".join(str(requirement) for requirement in missing)
        lines.append(_("Missing or too old: {names}. Press Install.").format(names=names))
    else:
        lines.append(_("Everything is installed."))
    devices = yield from lineOf(devicesCommand(), read_devices)
    return "\n".join([*lines, devices.status])


def _stateText(wanted: Sequence[Requirement], versions: Mapping[str, str]) -> str:
    """The wanted packages that are missing, and those that are installed."""
    installed = ", ".join(each.name for each in wanted if each.isMetBy(versions)) or _("none")
    missing = ", ".join(str(each) for each in wanted if not each.isMetBy(versions)) or _("none")
    return _("Still missing: {missing}. Installed: {installed}. You can safely try again.").format(
        missing=missing, installed=installed
    )


def _size(requirement: Requirement) -> str:
    """The size of a package's download, which changes with every version."""
    if requirement is TORCH:
        return _("200 MB for the CPU, up to 3 GB with CUDA")
    return _("about {size} MB").format(size=MEGABYTES[requirement.name])
