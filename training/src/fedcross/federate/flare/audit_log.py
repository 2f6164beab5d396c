"""Bounds ``audit.log`` of a kit, which FLARE appends to and never renames.

FLARE keeps the file open, so it cannot be renamed while FLARE runs: it is copied and then emptied.
"""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fedcross.errors import OutputError
from fedcross.runtime.files.atomic import atomic_path

AUDIT_LOG = "audit.log"
MAX_BYTES, OLDER_FILES = 20 * 2**20, 2
INTERVAL_S = 60.0


@contextmanager
def bounded_audit_log(kit: Path) -> Iterator[None]:
    """Look at the size of ``audit.log`` in a kit once a minute during the block, and at its begin.

    At 20 MB it becomes ``audit.log.1``, and that ``audit.log.2``. A line that FLARE writes at the moment
    of the exchange can get lost. A full disk changes nothing: the file then stays as it is.
    """
    path, ended = kit / AUDIT_LOG, threading.Event()

    def watch() -> None:
        while True:
            with suppress(OSError, OutputError):
                limit_size(path)
            if ended.wait(INTERVAL_S):
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def limit_size(path: Path) -> None:
    """Copy a file that has reached 20 MB to an older file and empty it; do nothing if it is smaller.

    Parameters
    ----------
    path
        The file; processes may append to it meanwhile. It need not exist.

    Raises
    ------
    OutputError
        If an older file cannot be written; `path` is then complete.
    """
    if not path.exists() or path.stat().st_size < MAX_BYTES:
        return
    for number in range(OLDER_FILES, 0, -1):
        newer = _older(path, number - 1) if number > 1 else path
        if newer.exists():
            with atomic_path(_older(path, number)) as copy:
                shutil.copy(newer, copy)  # with its mode
    os.truncate(path, 0)


def _older(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
