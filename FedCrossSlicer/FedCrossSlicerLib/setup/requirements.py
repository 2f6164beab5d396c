"""The Python packages that the child process needs, and which of them are installed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from FedCrossSlicerLib.child.command import childPython
from FedCrossSlicerLib.setup.job import Job, lineOf

# Runs in a new process of the child's Python, because Slicer may have imported packages that have been
# replaced since. With "import" it imports each package, which finds broken installations too.
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
    """A package whose import name is its own name.

    Attributes
    ----------
    name
        The package's name.
    floor
        The oldest version that works, such as ``"2.4"``.
    """

    name: str
    floor: str

    def __str__(self) -> str:
        return f"{self.name}>={self.floor}"

    def isMetBy(self, versions: Mapping[str, str]) -> bool:
        """Return whether the package is installed in a version that works.

        Parameters
        ----------
        versions
            Version of each installed package, by name. An unknown version (``""``) counts as one that
            works.
        """
        version = versions.get(self.name)
        return version is not None and (not version or _number(version) >= _number(self.floor))


# The base dependencies in training/pyproject.toml that segmenting imports.
TORCH = Requirement("torch", "2.4")
REQUIREMENTS = (
    TORCH,
    Requirement("monai", "1.4"),
    Requirement("numpy", "1.26"),
    Requirement("scipy", "1.11"),
    Requirement("SimpleITK", "2.3"),
    Requirement("safetensors", "0.4.3"),
    Requirement("pydantic", "2.7"),
    Requirement("pydicom", "2.4"),
)

MEGABYTES = {
    "monai": 2,
    "numpy": 16,
    "scipy": 35,
    "SimpleITK": 53,
    "safetensors": 1,
    "pydantic": 3,
    "pydicom": 2,
    "openvino": 59,
    "highdicom": 1,
}
"""Size of each wheel in MB, measured in November 2026. The size of torch depends on the build."""

OPENVINO = Requirement("openvino", "2025.0")
"""Optional: a back-end that is several times as fast as PyTorch on a CPU."""

HIGHDICOM = Requirement("highdicom", "0.28")
"""Optional: results as DICOM, the extra ``dicom`` in training/pyproject.toml."""
OPTIONAL = (OPENVINO, HIGHDICOM)


def installedVersions(importing: bool = False) -> Job[dict[str, str]]:
    """Find the version of each required package that the child's Python finds, by name.

    Parameters
    ----------
    importing
        Whether to import each package, which takes seconds, or only to look for it.

    Raises
    ------
    InstallError
        If that Python cannot be run.
    """
    names = [requirement.name for requirement in (*REQUIREMENTS, *OPTIONAL)]
    command = [childPython(), "-c", _PROBE, "import" if importing else "find", *names]
    return lineOf(command, _versions)


def _versions(line: str) -> dict[str, str] | None:
    found = json.loads(line)
    return found if isinstance(found, dict) else None


def missingRequirements(versions: Mapping[str, str]) -> list[Requirement]:
    """Return the required packages that are not installed or too old.

    Parameters
    ----------
    versions
        Version of each installed package, by name.
    """
    return [requirement for requirement in REQUIREMENTS if not requirement.isMetBy(versions)]


def _number(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: "2.13.0+cpu" gives (2, 13, 0)."""
    numbers = []
    for part in version.split("+")[0].split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)
