"""Where the package `fedcross` is, and how this process imports it.

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


def addPackageFolder() -> None:
    """Make `packageFolder` the first folder of `sys.path`, before any other copy of `fedcross`."""
    folder = str(packageFolder())
    sys.path[:] = [folder, *(path for path in sys.path if path != folder)]
