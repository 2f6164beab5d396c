"""The content of the files of an image, for a key that changes when the image changes."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from fedcross.runtime.files.walk import walk

_DETACHED = (".mhd", ".nhdr")
"""Header files whose voxels may be in other files."""
_PAIR = (".hdr", ".hdr.gz")


class Digest(Protocol):
    """A hash that is being computed, as in the module `hashlib`."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""


def add_content(digest: Digest, image: Path) -> None:
    """Add the SHA-256 of every file of an image to a hash.

    Parameters
    ----------
    digest
        The hash.
    image
        A file, with the files of its voxels; or a folder, with all visible files at or below it.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    for path in _list_files(image):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())


def _list_files(path: Path) -> Iterator[Path]:
    """All files that an image consists of, in a fixed order."""
    if path.is_dir():
        for folder, names in walk(path):
            yield from (folder / name for name in names)
        return
    yield path
    lower = path.name.lower()
    if lower.endswith(_DETACHED):
        header = path.read_bytes().decode("latin-1")
        numbered = re.search(r"%\d*d", header) is not None
        for other in sorted(path.parent.iterdir()):
            if other != path and other.is_file() and (numbered or other.name in header):
                yield other
    elif lower.endswith(_PAIR):
        voxels = re.compile(re.escape(re.sub(r"\.hdr(\.gz)?$", "", lower)) + r"\.img(\.gz)?")
        yield from (
            other for other in sorted(path.parent.iterdir()) if voxels.fullmatch(other.name.lower())
        )
