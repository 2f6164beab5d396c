"""What is made of a bundle's members for this computer, kept in the user's cache folder.

Every entry carries its own hash, and that of the member of which it was made; where they do not match it
counts as not there. Several processes may make the same at a time: whoever comes second throws its own
away. What cannot be written is simply not kept.
"""

import hashlib
import json
from pathlib import Path

from fedcross.errors import OutputError
from fedcross.runtime.atomic import atomic_folder
from fedcross.runtime.partial import remove_quietly

MAX_CACHE_BYTES = 4 * 1024**3
_DATA, _HASHES = "compiled.bin", "sha256.json"


def read(place: Path, member: str) -> bytes | None:
    """Return what an entry holds, or None if that is nothing, damaged, or made of another member.

    Parameters
    ----------
    place
        The entry's folder; its parent holds the entries of one bundle.
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
    remove_quietly(place)  # it would be in the way of what is made now
    return None


def keep(place: Path, member: str, data: bytes) -> None:
    """Make an entry; the parameters are those of `read`. Old entries go where there are too many."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with atomic_folder(place, replace=False) as partial:
            (partial / _DATA).write_bytes(data)
            (partial / _HASHES).write_text(json.dumps(_hashes(data, member)))
        _trim(place.parent.parent, spare=place.parent)
    except (OSError, OutputError):  # a full disk, or another process was first
        return


def _hashes(data: bytes, member: str) -> list[str]:
    return [member, hashlib.sha256(data).hexdigest()]


def _trim(folder: Path, spare: Path) -> None:
    """Remove what has not been made for longest until the cache is small enough."""
    made = sorted((entry for entry in folder.iterdir() if entry != spare), key=_made)
    sizes = {entry: _size(entry) for entry in [*made, spare]}
    for entry in made:
        if sum(sizes.values()) <= MAX_CACHE_BYTES:
            return
        remove_quietly(entry)
        del sizes[entry]


def _made(entry: Path) -> float:
    return entry.stat().st_mtime


def _size(entry: Path) -> int:
    return sum(file.stat().st_size for file in entry.rglob("*") if file.is_file())
