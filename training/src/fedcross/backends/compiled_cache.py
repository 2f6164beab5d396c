"""What is made of a bundle's members for this computer, kept in the user's cache folder.

Every entry carries its own hash, and that of the member of which it was made; where they do not match it
counts as not there. Several processes may make the same at a time: whoever comes second throws its own
away. What cannot be written is simply not kept.
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
MAX_CACHE_BYTES = 4 * 1024**3
_DATA, _HASHES = "compiled.bin", "sha256.json"
_PARTIAL = ".partial-"
_ABANDONED_S = 3600
"""What is half-written for so long was left by a process that was killed."""


def cache_folder() -> Path:
    """Return where it is kept: below ``$FEDCROSS_CACHE``, or in the system's usual place."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        base = Path(chosen)
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "fedcross" / "openvino"


def read(place: Path, member: str) -> bytes | None:
    """Return what an entry holds, or None if that is nothing, damaged, or made of another member.

    Parameters
    ----------
    place
        The entry's folder, two below `cache_folder`: that of the bundle, and the member's.
    member
        SHA-256 of the member's file.
    """
    try:
        hashes = json.loads((place / _HASHES).read_text(encoding="utf-8"))
        data = (place / _DATA).read_bytes()
        whole = hashes == _hashes(data, member)
    except (OSError, ValueError):
        whole = False
    if whole:
        return data
    _remove(place)  # it would be in the way of what is made now
    return None


def write(place: Path, member: str, data: bytes) -> None:
    """Make an entry; the parameters are those of `read`. Old entries go where there are too many."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=place.parent))
    except OSError:
        return
    try:
        (partial / _DATA).write_bytes(data)
        (partial / _HASHES).write_text(json.dumps(_hashes(data, member)))
        partial.rename(place)
        for other in place.parent.glob(f"{_PARTIAL}*"):
            if time.time() - _made(other) > _ABANDONED_S:
                _remove(other)
        _trim(place.parent.parent, spare=place.parent)
    except OSError:  # a full disk, or another process was first
        return
    finally:
        _remove(partial)


def _remove(entry: Path) -> None:
    """Remove a folder, or a file that should be one; what cannot be removed stays."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
        return
    with suppress(OSError):
        entry.unlink(missing_ok=True)


def _hashes(data: bytes, member: str) -> list[str]:
    return [member, hashlib.sha256(data).hexdigest()]


def _trim(folder: Path, spare: Path) -> None:
    """Remove what has not been made for longest until the cache is small enough."""
    made = sorted((entry for entry in folder.iterdir() if entry != spare), key=_made)
    sizes = {entry: _size(entry) for entry in [*made, spare]}
    for entry in made:
        if sum(sizes.values()) <= MAX_CACHE_BYTES:
            return
        _remove(entry)
        del sizes[entry]


def _made(entry: Path) -> float:
    return entry.stat().st_mtime


def _size(entry: Path) -> int:
    return sum(file.stat().st_size for file in entry.rglob("*") if file.is_file())
