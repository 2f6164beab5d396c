"""Imports go one way: errors <- method <- model <- infer <- train <- federate <- command line."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "training" / "src" / "fedcross"
LAYERS = ("errors", "method", "model", "infer", "train", "federate", "console", "demo", "cli")
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


def imported(source: str) -> Iterator[str]:
    """The modules a source text imports, wherever it does so."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the direction"
            yield node.module or ""


def arrows_back(layer: str, source: str) -> list[str]:
    """Imports of a later layer than the given one."""
    allowed = LAYERS[: LAYERS.index(layer) + 1]
    return [
        name
        for name in imported(source)
        if name.startswith("fedcross.") and name.split(".")[1] not in allowed
    ]


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_runs_back(path: Path) -> None:
    assert arrows_back(layer_of(path), path.read_text(encoding="utf-8")) == []


def test_an_import_that_runs_back_is_found_also_inside_a_function() -> None:
    source = "def f():\n    from fedcross.train.config import load_config\n"
    assert arrows_back("infer", source) == ["fedcross.train.config"]
    assert arrows_back("federate", source) == []


def test_package_files_are_empty() -> None:
    for path in PACKAGE.rglob("__init__.py"):
        assert path.read_text(encoding="utf-8") == "", path


def test_the_method_is_mathematics_only() -> None:
    for path in (PACKAGE / "method").glob("*.py"):
        for name in imported(path.read_text(encoding="utf-8")):
            top = name.split(".")[0]
            assert top in {"numpy", "scipy", "fedcross"} or top in sys.stdlib_module_names, path


@pytest.mark.parametrize("name", ["architecture", "manifest"])
def test_a_manifest_can_be_read_without_torch(name: str) -> None:
    names = set(imported((PACKAGE / "model" / f"{name}.py").read_text(encoding="utf-8")))
    assert not {top for top in names if top.split(".")[0] == "torch"}


def test_a_training_step_needs_neither_monai_nor_simpleitk() -> None:
    for name in ("trainer", "sampling", "losses", "member"):
        names = imported((PACKAGE / "train" / f"{name}.py").read_text(encoding="utf-8"))
        assert not {"monai", "SimpleITK"} & {top.split(".")[0] for top in names}
