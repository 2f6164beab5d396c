"""The Python packages that the child process needs, and how they get into Slicer.

Nothing is installed without asking. Torch comes through the SlicerPyTorch extension, which chooses the
build for the computer's GPU; the others by Slicer's pip, always with their version floors.
"""

import importlib
import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
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

_MEGABYTES = {
    "monai": 2,
    "numpy": 16,
    "scipy": 35,
    "SimpleITK": 53,
    "safetensors": 1,
    "pydantic": 3,
    "openvino": 59,
}

FASTER = Requirement("openvino", "2025.0")
"""Not needed, but on a CPU several times as fast; installed along with the others."""

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
        if logic.installTorch(torchVersionRequirement=f">={requirement.floor}") is None:
            raise InstallError(_("PyTorch could not be installed; see the log."))

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
    names = [requirement.name for requirement in (*REQUIREMENTS, FASTER)]
    command = [childPython(), "-c", _PROBE, "import" if importing else "find", *names]
    return _asked(command)


def _asked(command: Sequence[str]) -> dict[str, Any]:
    """Run the child's Python and return the JSON object that it prints last."""
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
    absent = _unmet(before)
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
    if _unmet(after):
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
    missing = _unmet(versions)
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
    return str(_asked(command).get("status", ""))


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
    return _("about {size} MB").format(size=_MEGABYTES[requirement.name])


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
