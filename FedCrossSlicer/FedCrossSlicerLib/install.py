"""The Python packages that the child process needs, and how they get into Slicer.

Nothing is installed without asking. Torch comes through the SlicerPyTorch extension, which chooses the
build for the computer's GPU; the others by Slicer's pip, always with their version floors.
"""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from slicer.i18n import tr as _

from FedCrossSlicerLib.child import childEnvironment, childPython
from FedCrossSlicerLib.errors import InstallError

PROBE_TIMEOUT_S = 120
# Asks the child's own Python, in a process of its own: what Slicer has imported may be outdated after
# an installation. With "import" it imports in earnest, which finds broken installations too.
_PROBE = """
import importlib, importlib.metadata, importlib.util, json, sys
found = {}
for module in sys.argv[2:]:
    if importlib.util.find_spec(module) is None:
        continue
    try:
        version = importlib.metadata.version(module)
    except importlib.metadata.PackageNotFoundError:
        version = ""
    if sys.argv[1] == "import":
        try:
            importlib.import_module(module)
        except Exception as error:
            print(f"{module}: {error}", file=sys.stderr)
            continue
    found[module] = version
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Requirement:
    """A package and the oldest version that serves; the import name is the package's name."""

    name: str
    floor: str

    def __str__(self) -> str:
        return f"{self.name}>={self.floor}"

    def metBy(self, versions: Mapping[str, str]) -> bool:
        """Whether these installed versions contain it; an unknown version (``""``) is trusted."""
        version = versions.get(self.name)
        return version is not None and (not version or _number(version) >= _number(self.floor))


# Those of the base dependencies in training/pyproject.toml that segmenting imports.
TORCH = Requirement("torch", "2.4")
REQUIREMENTS = (
    TORCH,
    Requirement("monai", "1.4"),
    Requirement("numpy", "1.26"),
    Requirement("scipy", "1.11"),
    Requirement("SimpleITK", "2.3"),
    Requirement("safetensors", "0.4.3"),
    Requirement("pydantic", "2.7"),
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
    """The real one; only inside Slicer."""

    def installTorch(self, requirement: Requirement) -> None:
        try:
            import PyTorchUtils
        except ImportError as error:
            raise InstallError(
                _("Install the PyTorch extension in the Extensions Manager and restart Slicer.")
            ) from error
        logic: Any = PyTorchUtils.PyTorchUtilsLogic()
        if logic.installTorch(torchVersionRequirement=f">={requirement.floor}") is None:
            raise InstallError(_("PyTorch could not be installed; see the log."))

    def install(self, requirements: Sequence[Requirement]) -> None:
        import slicer

        try:
            slicer.util.pip_install([str(requirement) for requirement in requirements])
        except subprocess.CalledProcessError as error:
            raise InstallError(_("A package could not be installed; see the log.")) from error


def installedVersions(importing: bool = False) -> dict[str, str]:
    """Return the versions of the packages that the child's Python finds.

    Parameters
    ----------
    importing
        Import each one in earnest (seconds) instead of only looking for it.

    Raises
    ------
    InstallError
        If that Python cannot be asked.
    """
    names = [requirement.name for requirement in REQUIREMENTS]
    command = [childPython(), "-c", _PROBE, "import" if importing else "find", *names]
    try:
        finished = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env=childEnvironment(),
            timeout=PROBE_TIMEOUT_S,
            check=True,
        )
        return dict(json.loads(finished.stdout.splitlines()[-1]))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        raise InstallError(_("Slicer's Python does not answer; see the log.")) from error


def ensure(ask: Ask, installer: Installer | None = None, probe: Probe = installedVersions) -> bool:
    """Install what is missing or too old, after asking.

    Parameters
    ----------
    ask
        Shows a question; True = go ahead.
    installer, probe
        Replaced in tests.

    Returns
    -------
    bool
        Whether everything is there now; False when the user declined.

    Raises
    ------
    InstallError
        If an installation failed, or something is still missing after it.
    """
    absent = _unmet(probe(False))
    if not absent:
        return True
    listed = ", ".join(str(requirement) for requirement in absent)
    question = _("These Python packages will be installed into Slicer: {packages}..")
    if not ask(question.format(packages=listed)):
        return False
    chosen = installer or SlicerInstaller()
    if TORCH in absent:
        chosen.installTorch(TORCH)
    others = [requirement for requirement in absent if requirement is not TORCH]
    if others:
        chosen.install(others)
    left = _unmet(probe(True))
    if left:
        listed = ", ".join(str(requirement) for requirement in left)
        raise InstallError(
            _("Still missing after the installation: {packages}.").format(packages=listed)
        )
    return True


def _unmet(versions: Mapping[str, str]) -> list[Requirement]:
    return [requirement for requirement in REQUIREMENTS if not requirement.metBy(versions)]


def _number(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: 2.13.0+cpu becomes (2, 13, 0)."""
    numbers = []
    for part in version.split("+")[0].split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)
