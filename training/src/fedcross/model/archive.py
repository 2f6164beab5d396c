"""A folder as one zip, and back, safely: a zip comes from a stranger."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from fedcross.errors import BundleError
from fedcross.runtime.atomic import atomic_path, make_folder

MAX_ENTRIES = 1000
MAX_TOTAL_BYTES = 20 * 1024**3
MAX_RATIO = 200  # zeros compress about a thousandfold, weights hardly at all
CHUNK = 1 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
# What `zipfile` and `zlib` raise on damaged input, the standard library's own oversights included.
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
    """Write some parts of `folder` into a zip, in order and without dates or links.

    Parameters
    ----------
    folder
        Whose files to pack.
    parts
        Names of files and folders in it; absent ones are left out.
    zip_path
        The zip to make.
    name
        The folder's name inside the zip: MONAI's specification asks for one.

    Raises
    ------
    OutputError
        If the zip cannot be written; no partial zip is left.
    """
    make_folder(zip_path.parent)
    with (
        atomic_path(zip_path) as partial,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for path in _files(folder / part for part in parts):
            inside = PurePosixPath(name, path.relative_to(folder).as_posix())
            entry = zipfile.ZipInfo(str(inside), _EPOCH)
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            with path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                while chunk := source.read(CHUNK):
                    target.write(chunk)


def _files(paths: Iterable[Path]) -> list[Path]:
    every = (p for path in paths for p in (path, *path.rglob("*")))
    return sorted(path for path in every if path.is_file() and not path.is_symlink())


def unpack_archive(zip_path: Path, folder: Path) -> None:
    """Unpack a zip into an empty folder after checking every entry.

    Refused: names that climb out of the folder or are absolute, links and devices, two entries of
    one name, encrypted entries and compressions other than deflate, more than `MAX_ENTRIES` entries
    or `MAX_TOTAL_BYTES` bytes, and what expands more than `MAX_RATIO` times, by entry and in all.

    Raises
    ------
    BundleError
        If the file is no zip or one of these holds. The caller removes `folder`.
    """
    try:
        with zipfile.ZipFile(zip_path) as archive:
            entries = archive.infolist()
            _check_sizes(entries, zip_path)
            _check_names(entries, zip_path.name)
            for entry in entries:
                if not entry.is_dir():
                    _extract(archive, entry, folder.joinpath(*PurePosixPath(entry.filename).parts))
    except _DAMAGE as error:
        raise BundleError(f"{zip_path.name} is not a sound zip file.") from error
    except OSError as error:
        raise BundleError(
            f"{zip_path.name} cannot be unpacked: {error.strerror or 'damaged'}."
        ) from error


def _check_sizes(entries: list[zipfile.ZipInfo], zip_path: Path) -> None:
    if len(entries) > MAX_ENTRIES:
        raise BundleError(f"{zip_path.name} holds {len(entries)} entries, at most {MAX_ENTRIES}.")
    total = sum(entry.file_size for entry in entries)
    if total > MAX_TOTAL_BYTES:
        raise BundleError(f"{zip_path.name} would unpack to {total} bytes, which is too much.")
    # Entries that share their compressed bytes look harmless one by one.
    if total > max(MAX_RATIO * zip_path.stat().st_size, CHUNK):
        raise BundleError(f"{zip_path.name} would unpack to {total} bytes, beyond reason.")
    for entry in entries:
        if entry.file_size > max(MAX_RATIO * entry.compress_size, CHUNK):
            raise BundleError(
                f"{zip_path.name} holds {entry.filename!r}, which expands beyond reason."
            )


def _check_names(entries: list[zipfile.ZipInfo], archive_name: str) -> None:
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if (
            not PurePosixPath(name).parts
            or name.startswith(("/", "\\"))
            or any(sign in name for sign in ("\\", ":", "\x00"))
            or ".." in PurePosixPath(name).parts
        ):
            raise BundleError(f"{archive_name} holds {name!r}, a path that leads out of it.")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise BundleError(f"{archive_name} holds {name!r}, which is a link or a device.")
        if entry.flag_bits & 1:
            raise BundleError(f"{archive_name} holds {name!r}, which is encrypted.")
        if entry.compress_type not in _METHODS:
            raise BundleError(f"{archive_name} holds {name!r}, compressed in a way not known here.")
        normal = str(PurePosixPath(name)).casefold()
        if normal in seen:
            raise BundleError(f"{archive_name} holds {name!r} twice.")
        seen.add(normal)


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> None:
    """Write one entry, counting its bytes: a header may lie about them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with archive.open(entry) as source, path.open("xb") as target:
        while chunk := source.read(CHUNK):
            written += len(chunk)
            if written > entry.file_size:
                raise BundleError(f"{entry.filename!r} is larger than the zip declares.")
            target.write(chunk)
