"""The package `fedcross` in the module's own process: which copy, and only without other packages."""

import subprocess
import sys
from pathlib import Path

from test_rooms import LIBRARY, MODULES, imports

SOURCE = LIBRARY.parents[1] / "training" / "src"


def run(code, *arguments):
    """The words that a Python without site-packages prints."""
    command = [sys.executable, "-I", "-S", "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def module_of(name):
    """The module that an imported dotted name is, or is in; the package itself is a module too."""
    path = SOURCE.joinpath(*name.split("."))
    return name if path.is_dir() or path.with_suffix(".py").is_file() else name.rpartition(".")[0]


def test_the_module_imports_only_what_needs_no_other_package():
    paths = [*MODULES, LIBRARY.parent / "FedCrossSlicer.py"]
    names = {name for path in paths for name in imports(path) if name.split(".")[0] == "fedcross"}
    modules = sorted({module_of(name) for name in names})
    assert "fedcross.contract.files" in modules
    code = (
        "import importlib, sys; sys.path.insert(0, sys.argv[1]); before = set(sys.modules);"
        "[importlib.import_module(name) for name in sys.argv[2:]];"
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    assert set(run(code, SOURCE, *modules)) - sys.stdlib_module_names == {"fedcross"}


def test_the_copy_in_the_source_checkout_comes_before_any_other(tmp_path):
    (tmp_path / "fedcross").mkdir()
    (tmp_path / "fedcross" / "__init__.py").touch()
    code = (
        "import sys; sys.path[:0] = sys.argv[1:];"
        "import FedCrossSlicerLib, fedcross;"
        "print(fedcross.__file__)"
    )
    (found,) = run(code, tmp_path, SOURCE, LIBRARY.parent)
    assert Path(found).samefile(SOURCE / "fedcross" / "__init__.py")


def test_a_second_import_of_the_library_does_not_change_the_path():
    code = (
        "import importlib, sys; sys.path.insert(0, sys.argv[1]);"
        "import FedCrossSlicerLib; before = list(sys.path);"
        "importlib.reload(FedCrossSlicerLib); print(before == sys.path)"
    )
    assert run(code, LIBRARY.parent) == ["True"]
