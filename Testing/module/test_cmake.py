"""The files that the extension installs, by its CMake files and a stub of Slicer's macros."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STUB = Path(__file__).with_name("slicer_stub")
MODULES = Path("lib") / "qt-scripted-modules"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of scripted modules of an installed extension."""
    cmake = shutil.which("cmake")
    if cmake is None:
        pytest.skip("there is no cmake")
    folder = tmp_path_factory.mktemp("extension")
    build, prefix = folder / "build", folder / "installed"
    configure = [f"-DSlicer_DIR={STUB}", "-DBUILD_TESTING=ON", "-S", str(ROOT), "-B", str(build)]
    for step in (configure, ["--install", str(build), "--prefix", str(prefix)]):
        done = subprocess.run([cmake, *step], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return prefix / MODULES


def tracked(folder, pattern):
    return {
        path.relative_to(folder)
        for path in folder.rglob(pattern)
        if "__pycache__" not in path.parts
    }


def test_every_file_that_the_module_opens_at_run_time_is_installed(installed):
    module = ROOT / "FedCrossSlicer"
    needed = set().union(
        *(tracked(module, kind) for kind in ("*.py", "*.ui", "*.png", "*.zip", "*.nrrd"))
    )
    needed |= set().union(
        *(tracked(ROOT / "training" / "src", kind) for kind in ("*.py", "*.toml"))
    )
    needed.add(Path("Resources/Help/uncertainty.md"))
    missing = {path for path in needed if not (installed / path).is_file()}
    assert missing == set()
    assert Path("FedCrossSlicer.py") in needed
    assert Path("FedCrossSlicerLib/panel/panel.py") in needed
    assert Path("Resources/UI/FedCrossSlicer.ui") in needed
    assert Path("fedcross/infer/__main__.py") in needed


def test_the_installed_module_imports_the_package_beside_it(installed, tmp_path):
    """Another copy of the package comes first on the path."""
    (tmp_path / "fedcross").mkdir()
    (tmp_path / "fedcross" / "__init__.py").touch()
    code = (
        "import sys; sys.path[:0] = sys.argv[1:];"
        "import FedCrossSlicerLib, fedcross.contract.files;"
        "print(fedcross.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(tmp_path), str(installed)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()).samefile(installed / "fedcross" / "__init__.py")


def test_the_installed_module_finds_the_page_that_explains_the_figures(installed):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from FedCrossSlicerLib.package import documentationPage;"
        "print(documentationPage('uncertainty.md'))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(installed)],
        capture_output=True,
        text=True,
        check=True,
    )
    page = Path(done.stdout.strip())
    assert page.is_relative_to(installed)
    assert page.read_bytes() == (ROOT / "docs" / "uncertainty.md").read_bytes()


def test_the_child_runs_from_the_installed_files_alone(installed):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "import fedcross.infer.__main__ as child;"
        "from FedCrossSlicerLib.display import colors;"
        "print(child.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(installed)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(installed))
