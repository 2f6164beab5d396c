"""Read a text file of a person, such as a configuration or a list, but not an endless one."""

import errno
import os
from pathlib import Path

MAX_BYTES = 64 * 1024**2
"""A list of 100,000 cases is smaller."""


def read_file(path: Path, most_bytes: int = MAX_BYTES) -> bytes:
    """Return the content of a file, a device or a pipe.

    Raises
    ------
    OSError
        If it cannot be read, or does not end within `most_bytes`, such as ``/dev/zero``; then with the
        number `errno.EFBIG`.
    """
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return content
