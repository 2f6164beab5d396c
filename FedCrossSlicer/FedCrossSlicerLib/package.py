"""Where the package `fedcross` is: the module reads `fedcross.contract` from it."""

import sys
from pathlib import Path


def packageFolder() -> Path:
    """Return the folder that holds the package `fedcross`.

    In a source checkout this is ``training/src``; in an installed extension it is the module's folder.
    """
    module = Path(__file__).resolve().parents[1]
    source = module.parent / "training" / "src"
    return source if source.is_dir() else module


def addPackageToPath() -> None:
    """Let Python import this copy of `fedcross`, before any other copy."""
    folder = str(packageFolder())
    if folder not in sys.path:
        sys.path.insert(0, folder)
