"""Where the package `fedcross` and its documentation are, and how this process imports the package.

The library imports only modules of `fedcross` that need nothing but the standard library, because the
packages of the child process may not be installed.
"""

import sys
from pathlib import Path


def packageFolder() -> Path:
    """Return the folder that holds the package `fedcross`.

    In a source checkout this is ``training/src``; in an installed extension it is the module's folder.
    """
    module = Path(__file__).resolve().parents[1]
    source = module.parent / "training" / "src"
    return source if source.is_dir() else module


def documentationPage(name: str) -> Path:
    """Return the path of a page of the documentation, such as ``"uncertainty.md"``.

    In a source checkout the page is in ``docs``; an installed extension has copies of the pages that it
    opens.
    """
    module = Path(__file__).resolve().parents[1]
    source = module.parent / "docs" / name
    return source if source.is_file() else module / "Resources" / "Help" / name


def addPackageFolder() -> None:
    """Make `packageFolder` the first folder of `sys.path`, before any other copy of `fedcross`."""
    folder = str(packageFolder())
    sys.path[:] = [folder, *(path for path in sys.path if path != folder)]
