"""Imports go one way, in the order of LAYERS."""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "training" / "src" / "fedcross"
LAYERS = (
    "errors",
    "contract",
    "runtime",
    "uncertainty",
    "volumes",
    "patches",
    "model",
    "backends",
    "ensemble",
    "infer",
    "strategies",
    "training",
    "calibration",
    "federate",
    "study",
    "api",
    "demo",
    "commands",
    "cli",
    "__main__",
)
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
TORCH_FREE = ("architecture", "manifest")


def imported(source: str) -> Iterator[str]:
    """The modules a source text imports, wherever it does so."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the direction"
            if node.module == "fedcross":  # what it names are the layers themselves
                yield from (f"fedcross.{alias.name}" for alias in node.names)
            else:
                yield node.module or ""


def arrows_back(layer: str, source: str) -> list[str]:
    """Imports of a later layer than the given one."""
    assert layer in LAYERS, f"{layer} has no place among the layers yet"
    allowed = LAYERS[: LAYERS.index(layer) + 1]
    return [
        name
        for name in imported(source)
        if name.startswith("fedcross.") and name.split(".")[1] not in allowed
    ]


def beyond(allowed: set[str], source: str) -> list[str]:
    """Imports of neither the standard library nor the packages allowed."""
    return [
        name
        for name in imported(source)
        if (top := name.split(".")[0]) not in allowed and top not in sys.stdlib_module_names
    ]


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def read(*parts: str) -> str:
    return PACKAGE.joinpath(*parts).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_runs_back(path: Path) -> None:
    assert arrows_back(layer_of(path), path.read_text(encoding="utf-8")) == []


def test_every_layer_was_looked_at() -> None:
    assert {layer_of(path) for path in MODULES} == set(LAYERS)


@pytest.mark.parametrize(
    "source",
    [
        "from fedcross.training.config.configuration import load_config",
        "import fedcross.training.config.configuration",
        "import fedcross.training as training",
        "from fedcross import errors, training",
        "def f():\n    from fedcross.training import config",
        "if TYPE_CHECKING:\n    from fedcross.training.config.configuration import TrainingConfig",
    ],
)
def test_an_import_that_runs_back_is_found_however_it_is_written(source: str) -> None:
    (found,) = arrows_back("infer", source)
    assert found.startswith("fedcross.training")
    assert arrows_back("training", source) == arrows_back("federate", source) == []


def test_an_import_that_hides_its_direction_and_a_layer_without_a_place_are_refused() -> None:
    with pytest.raises(AssertionError, match="hide the direction"):
        arrows_back("infer", "from ..training import config")
    with pytest.raises(AssertionError, match="no place"):
        arrows_back("basement", "")


def test_package_files_are_empty_but_the_front_door() -> None:
    packages = {path.parent for path in PACKAGE.rglob("__init__.py")}
    assert packages >= {path.parent for path in MODULES}
    for package in packages - {PACKAGE}:
        assert (package / "__init__.py").read_bytes() == b"", package


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "uncertainty").glob("*.py")), ids=lambda path: path.name
)
def test_uncertainty_is_mathematics_only(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert beyond({"numpy", "scipy", "fedcross"}, source) == []
    ours = {name for name in imported(source) if name.startswith("fedcross")}
    allowed = ("fedcross.errors", "fedcross.contract", "fedcross.uncertainty.")
    assert all(name.startswith(allowed) for name in ours)


@pytest.mark.parametrize("name", TORCH_FREE)
def test_what_describes_a_bundle_names_neither_torch_nor_monai(name: str) -> None:
    assert beyond({"pydantic", "fedcross"}, read("model", f"{name}.py")) == []


def test_reading_a_manifest_loads_no_torch_by_a_detour_either() -> None:
    code = "; ".join(f"import fedcross.model.{name}" for name in TORCH_FREE)
    code += "; import sys; print(*{'torch', 'monai', 'SimpleITK'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_foreign_package_is_found() -> None:
    source = "import math\nimport torch.nn as nn\nfrom numpy import linalg"
    assert beyond({"numpy"}, source) == ["torch.nn"]


def test_a_training_step_needs_neither_monai_nor_simpleitk() -> None:
    for name in (
        "visit",
        "local_training",
        "sampling",
        "patch_draw",
        "losses",
        "optimizer",
        "drift_penalty",
    ):
        names = imported(read("training", "step", f"{name}.py"))
        assert not {"monai", "SimpleITK"} & {name.split(".")[0] for name in names}


def test_only_the_package_flare_imports_nvflare() -> None:
    users = {
        str(path.relative_to(PACKAGE))
        for path in MODULES
        if any(name.startswith("nvflare") for name in imported(path.read_text(encoding="utf-8")))
    }
    assert users
    assert all(user.startswith("federate/flare/") for user in users), users


SCRIPTS = sorted(
    path
    for folder in ("Resources", "training/benchmarks", "Testing/harness", "docs")
    for path in (PACKAGE.parents[2] / folder).glob("*.py")
)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_what_a_script_imports_of_the_package_exists(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fedcross"):
            module = importlib.import_module(node.module or "")
            for alias in node.names:
                known = hasattr(module, alias.name) or find_spec(f"{node.module}.{alias.name}")
                assert known, f"{node.module}.{alias.name}"
