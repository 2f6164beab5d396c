"""The folder for files that are kept on this computer to save time and can be made again."""

import os
import sys
from pathlib import Path

CACHE_VARIABLE = "FEDCROSS_CACHE"
"""Environment variable that names another folder than the system's usual one."""


def cache_folder() -> Path | None:
    """Return ``fedcross`` in ``$FEDCROSS_CACHE`` or in the user's cache folder; it may be absent.

    None if the user has no home folder, as in some containers; nothing is kept then.
    """
    try:
        return _usual_folder() / "fedcross"
    except RuntimeError:
        return None


def _usual_folder() -> Path:
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
