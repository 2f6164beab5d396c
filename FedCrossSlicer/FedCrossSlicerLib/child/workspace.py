"""A temporary folder whose path every library can open.

On Windows the user's temporary folder may have letters outside ASCII in its path. Some image libraries
cannot open such a path, and a deep path can exceed Windows' length limit.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

PREFIX = "fedcross-"


def temporaryFolder(parents: Sequence[str] | None = None) -> Path:
    """Create a new folder in the first parent folder that is writable and has an ASCII path.

    Parameters
    ----------
    parents
        Parent folders, best first; None for the system's temporary folders. If none is suitable, the
        system's default folder is used, whatever its path.
    """
    for parent in _systemFolders() if parents is None else parents:
        if parent.isascii() and os.path.isdir(parent) and os.access(parent, os.W_OK):
            return Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    return Path(tempfile.mkdtemp(prefix=PREFIX))


def _systemFolders() -> list[str]:
    shared = [os.environ.get(name, "") for name in ("PUBLIC", "ProgramData")]
    return [tempfile.gettempdir(), *(folder for folder in shared if folder)]
