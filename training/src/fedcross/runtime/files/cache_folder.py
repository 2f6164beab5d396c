"""The folder for files that are kept on this computer to save time and can be made again."""

import os
import sys
from pathlib import Path

CACHE_VARIABLE = "FEDCROSS_CACHE"
"""Environment variable that names another folder than the system's usual one."""


def cache_folder() -> Path:
    """Return ``fedcross`` in ``$FEDCROSS_CACHE`` or in the user's cache folder; it may be absent."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        base = Path(chosen)
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "fedcross"
