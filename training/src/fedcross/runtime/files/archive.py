"""Pack a folder into a zip, and unpack a zip from an unknown source safely."""

import io
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from fedcross.contract.plain_text import shown_value
from fedcross.errors import BundleError
from fedcross.runtime.files.atomic import atomic_path
from fedcross.runtime.files.folders import make_folder

MAX_ENTRIES = 1000
MAX_DEPTH = 8  # folders above an entry
MAX_DIRECTORY_BYTES = 1 << 20  # the zip's table of contents; that of a bundle has some kilobytes
MAX_TOTAL_BYTES = 20 * 1024**3
MAX_RATIO = 200  # largest ratio of unpacked to packed bytes; weights hardly compress
CHUNK = 1 << 20  # at most MAX_DIRECTORY_BYTES
_EPOCH = (1980, 1, 1, 0, 0, 0)
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
# All exceptions that `zipfile` and `zlib` raise for damaged input, documented or not.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    ValueError,
    IndexError,
)


def pack_parts(folder: Path, parts: Iterable[str], zip_path: Path, name: str) -> None:
    """Write some parts of a folder into a zip, sorted by name, without dates and without links.

    Parameters
    ----------
    folder
        Folder whose files are packed.
    parts
        Names of files and folders in `folder`; missing ones are skipped.
    zip_path
        Zip file to write; an existing one is replaced.
    name
        Name of the folder inside the zip; MONAI's specification requires one.

    Raises
    ------
    OutputError
        If the zip cannot be written. No partial zip is left.
    """
    make_folder(zip_path.parent)
    with (
        atomic_path(zip_path) as partial,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for path in _files(folder / part for part in parts):
            entry_name = PurePosixPath(name, path.relative_to(folder).as_posix())
            entry = zipfile.ZipInfo(str(entry_name), _EPOCH)
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            with path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                while chunk := source.read(CHUNK):
                    target.write(chunk)


def _files(paths: Iterable[Path]) -> list[Path]:
    found = (p for path in paths for p in (path, *path.rglob("*")))
    return sorted(path for path in found if path.is_file() and not path.is_symlink())


@contextmanager
def open_archive(zip_path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip whose table of contents is small.

    Parameters
    ----------
    zip_path
        Zip file.

    Raises
    ------
    BundleError
        If the file is no valid zip, its table of contents is larger than `MAX_DIRECTORY_BYTES`, or it
        holds more than `MAX_ENTRIES` entries; also if it turns out to be damaged in the block.
    """
    name = zip_path.name
    try:
        with zip_path.open("rb") as file, zipfile.ZipFile(_DirectoryReader(file)) as archive:
            if len(archive.infolist()) > MAX_ENTRIES:
                raise BundleError(
                    f"{name} holds {len(archive.infolist())} entries, more than the {MAX_ENTRIES} that "
                    "are accepted."
                )
            yield archive
    except _LargeDirectoryError as error:
        raise BundleError(
            f"{name} has a table of contents of {error.size} bytes, more than the "
            f"{MAX_DIRECTORY_BYTES} that are accepted."
        ) from error
    except _DAMAGE as error:
        raise BundleError(f"{name} is not a sound zip file.") from error
    except OSError as error:
        raise BundleError(f"{name} cannot be unpacked: {error.strerror or 'damaged'}.") from error


class _LargeDirectoryError(Exception):
    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


class _DirectoryReader(io.BufferedIOBase):
    """Reads a zip for `zipfile`, which asks for the whole table of contents in one read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > MAX_DIRECTORY_BYTES:
            raise _LargeDirectoryError(size)
        return self._file.read(-1 if size is None else size)


def unpack_archive(
    zip_path: Path, folder: Path, check: Callable[[zipfile.ZipFile], object] | None = None
) -> None:
    """Check every entry of a zip and unpack it into an empty folder.

    These are refused: absolute names and names that lead out of the folder; links and devices; two
    entries with the same name (ignoring case); encrypted entries; other compressions than deflate;
    more than `MAX_ENTRIES` entries; entries in more than `MAX_DEPTH` folders; more than
    `MAX_TOTAL_BYTES` unpacked bytes; and an entry or a zip that expands more than `MAX_RATIO` times.

    Parameters
    ----------
    zip_path
        Zip file.
    folder
        Empty folder. After an error it may contain some files; the caller removes it.
    check
        Called before anything is written; it raises an error if the zip is not wanted.

    Raises
    ------
    BundleError
        If the file is no valid zip or is refused.
    """
    with open_archive(zip_path) as archive:
        entries = archive.infolist()
        _check_sizes(entries, zip_path)
        _check_names(entries, zip_path.name)
        if check is not None:
            check(archive)
        for entry in entries:
            if not entry.is_dir():
                _extract(archive, entry, folder.joinpath(*PurePosixPath(entry.filename).parts))


def read_entry(archive: zipfile.ZipFile, name: str, most_bytes: int) -> bytes:
    """Return the content of one entry, at most `most_bytes` + 1 bytes of it.

    The size that the zip declares may be wrong, so a longer result means that the entry is too large.
    """
    with archive.open(name) as entry:
        return entry.read(most_bytes + 1)


def _check_sizes(entries: list[zipfile.ZipInfo], zip_path: Path) -> None:
    total = sum(entry.file_size for entry in entries)
    if total > MAX_TOTAL_BYTES:
        raise BundleError(f"{zip_path.name} would unpack to {total} bytes, which is too much.")
    # The ratio of the whole zip reveals entries that share their compressed bytes.
    if total > max(MAX_RATIO * zip_path.stat().st_size, CHUNK):
        raise BundleError(f"{zip_path.name} would unpack to {total} bytes, beyond reason.")
    for entry in entries:
        if entry.file_size > max(MAX_RATIO * entry.compress_size, CHUNK):
            raise BundleError(
                f"{zip_path.name} holds {shown_value(entry.filename)}, which expands beyond reason."
            )


def _check_names(entries: list[zipfile.ZipInfo], archive_name: str) -> None:
    seen: set[str] = set()
    for entry in entries:
        name, where = entry.filename, f"{archive_name} holds {shown_value(entry.filename)}"
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if (
            not PurePosixPath(name).parts
            or re.match(r"[/\\]|[A-Za-z]:", name)
            or ".." in re.split(r"[/\\]", name)
        ):
            raise BundleError(f"{where}, a path that leads out of it.")
        if any(sign in name for sign in ("\\", ":", "\x00")):
            raise BundleError(
                f"{where}, a name that not every system has.", "Pack the bundle again."
            )
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise BundleError(f"{where}, which is a link or a device.")
        if entry.flag_bits & 1:
            raise BundleError(f"{where}, which is encrypted.")
        if entry.compress_type not in _METHODS:
            raise BundleError(f"{where}, compressed in a way not known here.")
        if len(PurePosixPath(name).parts) > MAX_DEPTH + 1:
            raise BundleError(f"{where}, in more than {MAX_DEPTH} folders.")
        normal = str(PurePosixPath(name)).casefold()
        if normal in seen:
            raise BundleError(f"{where} twice.")
        seen.add(normal)


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> None:
    """Write one entry, and check that it is not larger than its header declares."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with archive.open(entry) as source, path.open("xb") as target:
        while chunk := source.read(CHUNK):
            written += len(chunk)
            if written > entry.file_size:
                raise BundleError(f"{shown_value(entry.filename)} is larger than the zip declares.")
            target.write(chunk)
