"""How the child's packages get into Slicer.

Nothing is installed without asking. Torch comes through the SlicerPyTorch extension, which chooses the
build for the computer's GPU; the others by Slicer's pip, always with their version floors.
"""

import importlib
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from slicer.i18n import tr as _

from FedCrossSlicerLib.child.command import childPython
from FedCrossSlicerLib.errors import InstallError
from FedCrossSlicerLib.setup.requirements import (
    FASTER,
    MEGABYTES,
    REQUIREMENTS,
    TORCH,
    Requirement,
    askChild,
    installedVersions,
    unmet,
)

Ask = Callable[[str], bool]
Probe = Callable[[bool], Mapping[str, str]]


class Installer(Protocol):
    """Installs packages into Slicer's Python."""

    def installTorch(self, requirement: Requirement) -> None:
        """Install torch in the build for this computer."""

    def install(self, requirements: Sequence[Requirement]) -> None:
        """Install other packages."""


class SlicerInstaller:
    """The real one; only inside Slicer. What pip says is seen in Slicer's own window for it."""

    def installTorch(self, requirement: Requirement) -> None:
        try:
            import PyTorchUtils
        except ImportError as error:
            raise InstallError(
                _("Install the PyTorch extension in the Extensions Manager and restart Slicer.")
            ) from error
        logic: Any = PyTorchUtils.PyTorchUtilsLogic()
        failed = _("PyTorch could not be installed; see the log.")
        try:
            torch = logic.installTorch(torchVersionRequirement=f">={requirement.floor}")
        except (subprocess.CalledProcessError, ImportError, OSError, ValueError) as error:
            raise InstallError(failed) from error  # pip failed, or what it left cannot be imported
        if torch is None:
            raise InstallError(failed)

    def install(self, requirements: Sequence[Requirement]) -> None:
        _pip([str(requirement) for requirement in requirements])


class WheelsInstaller:
    """Installs from a folder of wheels, without network; torch too, in whatever build lies there.

    Parameters
    ----------
    folder
        With the wheels of all that is missing and of all that they need.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def installTorch(self, requirement: Requirement) -> None:
        self.install([requirement])

    def install(self, requirements: Sequence[Requirement]) -> None:
        offline = ["--no-index", "--find-links", str(self._folder)]
        _pip([*offline, *(str(requirement) for requirement in requirements)])


def _pip(arguments: list[str]) -> None:
    """Run Slicer's pip: a list, so that paths with spaces stay whole."""
    import slicer

    try:
        # From 5.12 on, with a window that shows what it does.
        install = importlib.import_module("slicer.packaging").pip_install
    except ImportError:
        install = slicer.util.pip_install
    try:
        install(arguments)
    except subprocess.CalledProcessError as error:
        raise InstallError(_("A package could not be installed; see the log.")) from error


def ensure(
    ask: Ask,
    installer: Installer | None = None,
    probe: Probe = installedVersions,
    wheels: Path | None = None,
    faster: bool = False,
) -> bool:
    """Install what is missing or too old, after asking.

    Parameters
    ----------
    ask
        Shows a question; True = go ahead.
    installer, probe
        Replaced in tests.
    wheels
        Install from this folder instead of from the network.
    faster
        Offer what is not needed but makes it faster even if nothing else is missing.

    Returns
    -------
    bool
        Whether everything is there now; False when the user declined.

    Raises
    ------
    InstallError
        If an installation failed, or something is still missing after it. It says what is there by
        then and what is not; trying again is always safe.
    """
    before = probe(False)
    absent = unmet(before)
    if (absent or faster) and wheels is None and not FASTER.metBy(before):
        absent.append(FASTER)
    if not absent:
        return True
    if not ask(explanation(absent, wheels)):
        return False
    chosen = installer or (WheelsInstaller(wheels) if wheels else SlicerInstaller())
    try:
        if TORCH in absent:
            chosen.installTorch(TORCH)
        others = [requirement for requirement in absent if requirement is not TORCH]
        if others:
            chosen.install(others)
    except InstallError as error:
        raise InstallError(f"{error} {_state(absent, probe(False))}") from error
    after = probe(True)
    if unmet(after):
        raise InstallError(_state(absent, after))
    if before.get("numpy") and before["numpy"] != after.get("numpy"):
        raise InstallError(
            _("Everything is installed, but NumPy was replaced: restart Slicer before you go on.")
        )
    return True


def explanation(absent: Sequence[Requirement], wheels: Path | None = None) -> str:
    """Return what is going to be installed, with what has to be downloaded, as a question."""
    lines = [f"  {requirement}  ({_size(requirement)})" for requirement in absent]
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


def checkInstallation(probe: Probe = installedVersions) -> str:
    """Import every package in a fresh process; return their versions and the graphics cards.

    Raises
    ------
    InstallError
        If Slicer's Python cannot be asked.
    """
    versions = probe(True)
    lines = [
        f"{requirement.name} {versions[requirement.name]}"
        for requirement in (*REQUIREMENTS, FASTER)
        if requirement.metBy(versions)
    ]
    if not FASTER.metBy(versions):
        lines.append(_("openvino is not installed: it is not needed, but faster on a CPU."))
    missing = unmet(versions)
    if missing:
        names = ", ".join(str(requirement) for requirement in missing)
        lines.append(_("Missing or too old: {names}. Press Install.").format(names=names))
    else:
        lines.append(_("Everything is there."))
    lines.append(_graphics())
    return "\n".join(lines)


def _graphics() -> str:
    """What the child says about graphics cards, in words."""
    command = [childPython(), "-m", "fedcross.infer.devices"]
    return str(askChild(command).get("status", ""))


def _state(wanted: Sequence[Requirement], versions: Mapping[str, str]) -> str:
    """Say what of `wanted` is there and what is not."""
    there = ", ".join(each.name for each in wanted if each.metBy(versions)) or _("none")
    lacking = ", ".join(str(each) for each in wanted if not each.metBy(versions)) or _("none")
    return _("Still missing: {lacking}. Installed by now: {there}. Trying again is safe.").format(
        lacking=lacking, there=there
    )


def _size(requirement: Requirement) -> str:
    """What a download weighs; measured in 2026, and changing with every version."""
    if requirement is TORCH:
        return _("200 MB for the CPU, up to 3 GB with CUDA")
    return _("about {size} MB").format(size=MEGABYTES[requirement.name])
