"""A temporary folder whose name every library can open.

On Windows a user's own temporary folder may hold letters outside ASCII, on which some image libraries
trip, and deep paths hit its length limit.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

PREFIX = "fedcross-"


def temporaryFolder(candidates: Sequence[str] | None = None) -> Path:
    """Make a new folder in the first candidate with an ASCII name that can be written to.

    Parameters
    ----------
    candidates
        Parent folders in order of preference; None takes the system's. When none serves, the system's
        default is used whatever its name.
    """
    for parent in _systemFolders() if candidates is None else candidates:
        if parent.isascii() and os.path.isdir(parent) and os.access(parent, os.W_OK):
            return Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    return Path(tempfile.mkdtemp(prefix=PREFIX))


def _systemFolders() -> list[str]:
    shared = [os.environ.get(name, "") for name in ("PUBLIC", "ProgramData")]
    return [tempfile.gettempdir(), *(folder for folder in shared if folder)]
