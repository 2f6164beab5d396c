"""Hidden names for files and folders that are being written, and the removal of abandoned ones.

A name holds the number of the process that chose it and a code of the machine that counts these
numbers. So a later writer of the same target can remove what a killed process left, and leaves
everything that another process may still be writing.
"""

import os
import platform
import re
import shutil
import zlib
from contextlib import suppress
from functools import cache
from pathlib import Path

from fedcross.runtime.process import is_running

PARTIAL = ".partial-"
"""Prefix of a file or folder that is being written."""

REPLACED = ".replaced-"
"""Prefix of a folder that was moved aside while a new one takes its place."""

_END = 50
"""Characters of the target's name at the end of a hidden name; file systems limit a name's length."""


def hidden_name(kind: str, target: Path) -> Path:
    """Return a new name beside `target`.

    It ends as the target's name does, because libraries choose a file's format by its suffix.

    Parameters
    ----------
    kind
        `PARTIAL` or `REPLACED`.
    target
        File or folder that will have the content.
    """
    owner = f"{_machine()}-{os.getpid()}-{os.urandom(4).hex()}"
    return target.parent / f"{kind}{owner}-{target.name[-_END:]}"


def remove_abandoned(kind: str, target: Path) -> None:
    """Remove hidden files and folders of `target` if the process that made them has ended."""
    end = re.escape(target.name[-_END:])
    name = re.compile(rf"{re.escape(kind)}{_machine()}-(\d{{1,9}})-[0-9a-f]{{8}}-{end}")
    with suppress(OSError):  # the folder is absent or cannot be listed
        for entry in target.parent.iterdir():
            found = name.fullmatch(entry.name)
            if found and not is_running(int(found[1])):
                remove_quietly(entry)


def remove_all_hidden(folder: Path) -> None:
    """Remove every hidden file and folder in `folder`, for a caller that is its only writer."""
    with suppress(OSError):  # as above
        for entry in folder.iterdir():
            if entry.name.startswith((PARTIAL, REPLACED)):
                remove_quietly(entry)


def remove_quietly(path: Path) -> None:
    """Remove a file, a link, or a folder with its content; what cannot be removed stays."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


@cache
def _machine() -> str:
    """Return a code of the host and, on Linux, of the container's own count of processes."""
    name = platform.node()
    with suppress(OSError):
        name += os.readlink("/proc/self/ns/pid")
    return f"{zlib.crc32(name.encode(errors='replace')):08x}"
