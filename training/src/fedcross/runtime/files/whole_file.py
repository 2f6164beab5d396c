"""Read a text file of a person, such as a configuration or a list, but not an endless one."""

import errno
import os
from pathlib import Path

MAX_BYTES = 64 * 1024**2
"""A list of 100,000 cases is smaller."""


def read_file(path: Path) -> bytes:
    """Return the content of a file, a device or a pipe.

    Raises
    ------
    OSError
        If it cannot be read, or does not end within `MAX_BYTES`, such as ``/dev/zero``.
    """
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return content
