"""The Python packages that the child process needs, and how they get into Slicer.

Nothing is installed without asking. Torch comes through the SlicerPyTorch extension, which chooses the
build for the computer's GPU; the others by Slicer's pip. What is needed is told by the package itself.
"""

import importlib.util
import re
import subprocess
from collections.abc import Callable, Sequence
from typing import Protocol

# Import names of the base requirements in training/pyproject.toml, with their version floors.
REQUIREMENTS = {
    "torch": "torch>=2.4",
    "monai": "monai>=1.4",
    "scipy": "scipy>=1.11",
    "SimpleITK": "SimpleITK>=2.3",
    "safetensors": "safetensors>=0.4.3",
    "pydantic": "pydantic>=2.7",
}
TORCH_FLOOR = ">=2.4"


class InstallError(Exception):
    """The packages could not be installed; `str()` is one sentence for the user."""


class Installer(Protocol):
    """Installs packages into Slicer's Python."""

    def installTorch(self, floor: str) -> None:
        """Install torch in the build for this computer."""

    def install(self, requirements: Sequence[str]) -> None:
        """Install other packages."""


class SlicerInstaller:
    """The real one; only inside Slicer."""

    def installTorch(self, floor: str) -> None:
        try:
            import PyTorchUtils
        except ImportError as error:
            raise InstallError(
                "The PyTorch extension is missing; install it in the Extensions Manager and restart."
            ) from error
        if PyTorchUtils.PyTorchUtilsLogic().installTorch(torchVersionRequirement=floor) is None:
            raise InstallError("PyTorch could not be installed; see the log.")

    def install(self, requirements: Sequence[str]) -> None:
        import slicer

        try:
            slicer.util.pip_install(list(requirements))
        except subprocess.CalledProcessError as error:
            raise InstallError("A package could not be installed; see the log.") from error


def missing() -> list[str]:
    """Return the requirements whose packages cannot be found, without importing them."""
    return [
        requirement
        for name, requirement in REQUIREMENTS.items()
        if importlib.util.find_spec(name) is None
    ]


def ensure(ask: Callable[[str], bool], installer: Installer | None = None) -> bool:
    """Install what is missing after asking.

    Parameters
    ----------
    ask
        Shows a question; True = go ahead.
    installer
        Replaced in tests.

    Returns
    -------
    bool
        Whether everything is there now; False when the user declined.

    Raises
    ------
    InstallError
        If an installation failed, or packages are still missing after it.
    """
    absent = missing()
    if not absent:
        return True
    if not ask(f"These Python packages will be installed into Slicer: {', '.join(absent)}."):
        return False
    chosen = installer or SlicerInstaller()
    if any(_name(requirement) == "torch" for requirement in absent):
        chosen.installTorch(TORCH_FLOOR)
    others = [requirement for requirement in absent if _name(requirement) != "torch"]
    if others:
        chosen.install(others)
    importlib.invalidate_caches()
    left = missing()
    if left:
        raise InstallError(f"Still missing after the installation: {', '.join(left)}.")
    return True


def _name(requirement: str) -> str:
    return re.split(r"[<>=!~ ]", requirement, maxsplit=1)[0]
