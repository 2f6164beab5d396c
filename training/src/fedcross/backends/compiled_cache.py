"""Cache of compiled members, in the user's cache folder.

Every entry stores the hash of its data and of the member it was compiled from. An entry whose hashes do
not match counts as missing. Several processes may write the same entry at the same time: the first one
is stored, and the others are discarded. An entry that cannot be written is not stored; this is no error.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

CACHE_VARIABLE = "FEDCROSS_CACHE"
"""Environment variable with the folder that contains the cache."""
MAX_CACHE_BYTES = 4 * 1024**3
_DATA, _HASHES = "compiled.bin", "sha256.json"
_PARTIAL = ".partial-"
_ABANDONED_S = 3600
"""A partial entry older than this, in seconds, was left by a killed process and is removed."""


def cache_folder() -> Path:
    """Return the cache folder: below ``$FEDCROSS_CACHE``, or in the system's cache folder."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        base = Path(chosen)
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "fedcross" / "openvino"


def read(entry: Path, member: str) -> bytes | None:
    """Return the data of an entry; None if it is missing, damaged, or of another member.

    A damaged or foreign entry is removed.

    Parameters
    ----------
    entry
        Folder of the entry: ``cache_folder() / BUNDLE / MEMBER``.
    member
        SHA-256 (hex) of the member's file.
    """
    try:
        hashes = json.loads((entry / _HASHES).read_text(encoding="utf-8"))
        data = (entry / _DATA).read_bytes()
        is_valid = hashes == _hashes(data, member)
    except (OSError, ValueError):
        is_valid = False
    if is_valid:
        return data
    _remove(entry)  # otherwise a new entry could not be renamed to this place
    return None


def write(entry: Path, member: str, data: bytes) -> None:
    """Store an entry unless it exists, and remove the oldest bundles' entries if the cache is too large.

    Parameters
    ----------
    entry
        Folder of the entry: ``cache_folder() / BUNDLE / MEMBER``.
    member
        SHA-256 (hex) of the member's file.
    data
        The compiled member.
    """
    try:
        entry.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=entry.parent))
    except OSError:
        return
    try:
        (partial / _DATA).write_bytes(data)
        (partial / _HASHES).write_text(json.dumps(_hashes(data, member)))
        partial.rename(entry)
        for other in entry.parent.glob(f"{_PARTIAL}*"):
            if time.time() - _modified(other) > _ABANDONED_S:
                _remove(other)
        _trim(entry.parent.parent, spare=entry.parent)
    except OSError:  # the disk is full, or another process stored the entry first
        return
    finally:
        _remove(partial)


def _remove(entry: Path) -> None:
    """Remove a folder, file or link; errors are ignored."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
        return
    with suppress(OSError):
        entry.unlink(missing_ok=True)


def _hashes(data: bytes, member: str) -> list[str]:
    return [member, hashlib.sha256(data).hexdigest()]


def _trim(folder: Path, spare: Path) -> None:
    """Remove bundles' folders, oldest first and never `spare`, until the cache is small enough."""
    by_age = sorted((entry for entry in folder.iterdir() if entry != spare), key=_modified)
    sizes = {entry: _size(entry) for entry in [*by_age, spare]}
    for entry in by_age:
        if sum(sizes.values()) <= MAX_CACHE_BYTES:
            return
        _remove(entry)
        del sizes[entry]


def _modified(entry: Path) -> float:
    return entry.stat().st_mtime


def _size(entry: Path) -> int:
    return sum(file.stat().st_size for file in entry.rglob("*") if file.is_file())
