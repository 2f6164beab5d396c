"""A folder as one zip, and back, safely: a zip comes from a stranger."""

import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from fedcross.errors import BundleError, OutputError

MAX_ENTRIES = 1000
MAX_TOTAL_BYTES = 20 * 1024**3
MAX_RATIO = 200  # zeros compress about a thousandfold, weights hardly at all
CHUNK = 1 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)


def pack_folder(folder: Path, zip_path: Path) -> None:
    """Write every file below `folder` into a zip, in order and without dates.

    Raises
    ------
    OutputError
        If the zip cannot be written; no partial zip is left.
    """
    partial = zip_path.with_name(f".{zip_path.name}.partial")
    try:
        zip_path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for path in sorted(p for p in folder.rglob("*") if p.is_file()):
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EPOCH)
                entry.external_attr = (stat.S_IFREG | 0o644) << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                with (
                    path.open("rb") as source,
                    archive.open(entry, "w", force_zip64=True) as target,
                ):
                    while chunk := source.read(CHUNK):
                        target.write(chunk)
        partial.replace(zip_path)
    except OSError as error:
        raise OutputError(f"{zip_path} cannot be written: {error.strerror}.") from error
    finally:
        partial.unlink(missing_ok=True)


def unpack_archive(zip_path: Path, folder: Path) -> None:
    """Unpack a zip into an empty folder after checking every entry.

    Refused: names that climb out of the folder or are absolute, links and devices, two entries of
    one name, encrypted entries, more than `MAX_ENTRIES` entries or `MAX_TOTAL_BYTES` bytes, and
    entries that expand more than `MAX_RATIO` times.

    Raises
    ------
    BundleError
        If the file is no zip or one of these holds. The caller removes `folder`.
    """
    try:
        with zipfile.ZipFile(zip_path) as archive:
            entries = archive.infolist()
            _check_entries(entries, zip_path.name)
            for entry in entries:
                if not entry.is_dir():
                    _extract(archive, entry, folder.joinpath(*PurePosixPath(entry.filename).parts))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise BundleError(f"{zip_path.name} is not a sound zip file.") from error
    except OSError as error:
        raise BundleError(f"{zip_path.name} cannot be unpacked: {error.strerror}.") from error


def _check_entries(entries: list[zipfile.ZipInfo], archive_name: str) -> None:
    if len(entries) > MAX_ENTRIES:
        raise BundleError(f"{archive_name} holds {len(entries)} entries, at most {MAX_ENTRIES}.")
    total = sum(entry.file_size for entry in entries)
    if total > MAX_TOTAL_BYTES:
        raise BundleError(f"{archive_name} would unpack to {total} bytes, which is too much.")
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if (
            name.startswith(("/", "\\"))
            or any(sign in name for sign in ("\\", ":", "\x00"))
            or ".." in PurePosixPath(name).parts
        ):
            raise BundleError(f"{archive_name} holds {name!r}, a path that leads out of it.")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise BundleError(f"{archive_name} holds {name!r}, which is a link or a device.")
        if entry.flag_bits & 1:
            raise BundleError(f"{archive_name} holds {name!r}, which is encrypted.")
        if name.casefold() in seen:
            raise BundleError(f"{archive_name} holds {name!r} twice.")
        if entry.file_size > MAX_RATIO * max(entry.compress_size, 1) and entry.file_size > CHUNK:
            raise BundleError(f"{archive_name} holds {name!r}, which expands beyond reason.")
        seen.add(name.casefold())


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
