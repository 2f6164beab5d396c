"""Write docs/licences.md: the licences of all locked dependencies, from their installed metadata.

    python docs/list_licences.py

All packages of training/constraints.txt must be installed, hatchling (the build requirement) as well:
``pip install -c training/constraints.txt hatchling``.
"""

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "training" / "constraints.txt"
PAGE = ROOT / "docs" / "licences.md"
SHORT = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
"""SPDX identifiers of classifiers; the classifier of the BSD licence does not say which one."""
HEAD = """# Licences of the dependencies

FedCrossSlicer itself is under the [Apache License 2.0](../LICENSE). This page lists the packages that it
installs, with the exact versions of `training/constraints.txt`, and the licences that their metadata
states. `python docs/list_licences.py` writes it.

"Needed for" names the base or the extras of `pip install fedcross[EXTRA]`, directly or through another
package. `dev` is for working on the code, and `build` makes the package. The platform-specific parts of
PyTorch for GPUs are not listed; they have licences of their own.

| package | version | licence | needed for |
|---|---|---|---|
"""


def locked() -> dict[str, tuple[str, str]]:
    """Return the locked packages: normalised name to name and version."""
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if "==" in line]
    return {canonicalize_name(name): (name, version.strip()) for name, version in pairs}


def licence(name: str) -> str:
    """Return the licence that an installed package states.

    Raises
    ------
    ValueError
        If it states none.
    """
    metadata = distribution(name).metadata
    if expression := metadata["License-Expression"]:
        return str(expression)
    classifiers = metadata.get_all("Classifier") or []
    found = [each.split(" :: ")[-1] for each in classifiers if each.startswith("License :: ")]
    if found and found != ["OSI Approved"]:
        return " AND ".join(SHORT.get(each, each) for each in found)
    lines = (metadata["License"] or "").strip().splitlines()
    if not lines:
        raise ValueError(f"{name} states no licence.")
    return str(lines[0])


def needed(requirements: Iterable[str]) -> set[str]:
    """Return the normalised names of all packages that some requirements install, here."""
    found: set[tuple[str, str]] = set()
    waiting = [(Requirement(each), "") for each in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for wanted in ("", *requirement.extras):
            if (name, wanted) not in found:
                found.add((name, wanted))
                waiting += [(each, wanted) for each in _requirements(name)]
    return {name for name, _extra in found}


def _requirements(name: str) -> Iterator[Requirement]:
    try:
        texts = distribution(name).requires or []
    except PackageNotFoundError:
        return  # of another platform
    yield from map(Requirement, texts)


def groups() -> dict[str, set[str]]:
    """Return for the base, every extra and the build what is needed for it."""
    text = (ROOT / "training" / "pyproject.toml").read_text(encoding="utf-8")
    content = tomllib.loads(text)
    project = content["project"]
    found = {"base": needed(project["dependencies"])}
    for extra, requirements in project["optional-dependencies"].items():
        others = [each for each in requirements if not each.startswith("fedcross")]
        found[extra] = needed(others) - found["base"]
    found["build"] = needed(content["build-system"]["requires"])
    return found


def page() -> str:
    """Return the page."""
    uses = groups()
    rows = []
    for normal, (name, version) in sorted(locked().items()):
        names = [group for group, packages in uses.items() if normal in packages]
        rows.append(f"| {name} | {version} | {licence(name)} | {', '.join(names) or 'dev'} |")
    return HEAD + "\n".join(rows) + "\n"


def main() -> int:
    """Write the page; return the exit code."""
    try:
        text = page()
    except (PackageNotFoundError, ValueError) as error:
        print(f"The page cannot be written: {error}", file=sys.stderr)
        return 2
    PAGE.write_text(re.sub(r" +\n", "\n", text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
