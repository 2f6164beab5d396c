"""Packages with entry points that a test installs for itself: files in a folder of the search path."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from fedcross.runtime import plugins

EXAMPLE = Path(__file__).resolve().parent / "example_plugin"
PACKAGE = "fedcross-example"

EntryPoints = Mapping[str, Mapping[str, str]]
"""Group of entry points -> name -> ``module:object``."""


def write_metadata(folder: Path, name: str, version: str, entry_points: EntryPoints) -> None:
    """Write the metadata with which Python finds the package `name`, as an installer does."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = []
    for group, entries in entry_points.items():
        lines += [f"[{group}]", *(f"{entry} = {target}" for entry, target in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def write_package(
    folder: Path, name: str, source: str, entry_points: EntryPoints, version: str = "1.0.0"
) -> None:
    """Install a package of one module with the name `name`, which has no hyphen, into `folder`."""
    write_metadata(folder, name, version, entry_points)
    (folder / f"{name}.py").write_text(source, encoding="utf-8")


def example_paths(folder: Path, version: str | None = None) -> list[Path]:
    """Write metadata for the example package; return the two folders for the search path.

    `version` replaces the version of the package.
    """
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    write_metadata(folder, project["name"], version or project["version"], project["entry-points"])
    return [folder, EXAMPLE]


@pytest.fixture(autouse=True)
def nothing_allowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No package is allowed before the test, nor after it what the test allows."""
    monkeypatch.delenv(plugins.VARIABLE, raising=False)
    monkeypatch.setattr(plugins, "_allowed", set())
    return


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Install the example package, without allowing it; its name."""
    for path in example_paths(tmp_path / "installed"):
        monkeypatch.syspath_prepend(path)
    return PACKAGE
