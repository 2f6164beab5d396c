"""The Python packages that the child process needs, and which of them are there."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

from FedCrossSlicerLib.child.command import childEnvironment, childPython, noWindowFlags
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

MEGABYTES = {
    "monai": 2,
    "numpy": 16,
    "scipy": 35,
    "SimpleITK": 53,
    "safetensors": 1,
    "pydantic": 3,
    "openvino": 59,
}
"""What their wheels weigh, measured in November 2026; torch's depends on the build."""

FASTER = Requirement("openvino", "2025.0")
"""Not needed, but on a CPU several times as fast; installed along with the others."""


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
    return askChild(command)


def askChild(command: Sequence[str]) -> dict[str, Any]:
    """Run the child's Python and return the JSON object that it prints last.

    Raises
    ------
    InstallError
        If it cannot be run, fails or prints something else.
    """
    try:
        finished = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env=childEnvironment(),
            timeout=PROBE_TIMEOUT_S,
            check=True,
            **noWindowFlags(),
        )
        return dict(json.loads(finished.stdout.splitlines()[-1]))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        raise InstallError(_("Slicer's Python does not answer; see the log.")) from error


def unmet(versions: Mapping[str, str]) -> list[Requirement]:
    """Return what is missing or too old among these installed versions."""
    return [requirement for requirement in REQUIREMENTS if not requirement.metBy(versions)]


def _number(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: 2.13.0+cpu becomes (2, 13, 0)."""
    numbers = []
    for part in version.split("+")[0].split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)
