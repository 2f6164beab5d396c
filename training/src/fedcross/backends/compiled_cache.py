"""Cache of compiled members, in the user's cache folder.

Every entry stores the hash of its data and of the member it was compiled from. An entry whose hashes do
not match counts as missing. So does an entry of another user, because it holds code that would be run.
Several processes may write the same entry at the same time: the first one is stored, and the others are
discarded. An entry that cannot be written is not stored; this is no error.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

from fedcross.contract.parse import parse_json
from fedcross.errors import OutputError
from fedcross.runtime.files.atomic import atomic_folder
from fedcross.runtime.files.partial import remove_quietly

MAX_CACHE_BYTES = 4 * 1024**3
_DATA, _HASHES = "compiled.bin", "sha256.json"


def read(entry: Path, member: str) -> bytes | None:
    """Return the data of an entry; None if it is missing, damaged, or of another member.

    A damaged or foreign entry is removed.

    Parameters
    ----------
    entry
        Folder of the entry; its parent contains the entries of one bundle.
    member
        SHA-256 (hex) of the member's file.
    """
    try:
        if not _is_own(entry / _DATA):
            return None
        hashes = parse_json((entry / _HASHES).read_text(encoding="utf-8"))
        data = (entry / _DATA).read_bytes()
        is_valid = hashes == _hashes(data, member)
    except (OSError, ValueError):
        is_valid = False
    if is_valid:
        return data
    remove_quietly(entry)  # otherwise a new entry could not be renamed to this place
    return None


def write(entry: Path, member: str, data: bytes) -> None:
    """Store an entry unless it exists, and remove the oldest bundles' entries if the cache is too large.

    Parameters
    ----------
    entry
        Folder of the entry; its parent contains the entries of one bundle.
    member
        SHA-256 (hex) of the member's file.
    data
        The compiled member.
    """
    try:
        entry.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with atomic_folder(entry, replace=False) as partial:
            (partial / _DATA).write_bytes(data)
            (partial / _HASHES).write_text(json.dumps(_hashes(data, member)))
        _trim(entry.parent.parent, spare=entry.parent)
    except (OSError, OutputError):  # the disk is full, or another process stored the entry first
        return


def _is_own(path: Path) -> bool:
    """Return whether this user owns a file; Windows keeps the users' caches apart by itself."""
    return sys.platform == "win32" or path.lstat().st_uid == os.getuid()


def _hashes(data: bytes, member: str) -> list[str]:
    return [member, hashlib.sha256(data).hexdigest()]


def _trim(folder: Path, spare: Path) -> None:
    """Remove bundles' folders, oldest first and never `spare`, until the cache is small enough."""
    by_age = sorted((entry for entry in folder.iterdir() if entry != spare), key=_modified)
    sizes = {entry: _size(entry) for entry in [*by_age, spare]}
    for entry in by_age:
        if sum(sizes.values()) <= MAX_CACHE_BYTES:
            return
        remove_quietly(entry)
        del sizes[entry]


def _modified(entry: Path) -> float:
    return entry.stat().st_mtime


def _size(entry: Path) -> int:
    return sum(file.stat().st_size for file in entry.rglob("*") if file.is_file())
