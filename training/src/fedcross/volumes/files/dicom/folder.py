"""Find the DICOM files of a folder, also in subfolders, and read their headers."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fedcross.contract.plain_text import plain_text
from fedcross.errors import DataError
from fedcross.volumes.files.dicom.elements import MAX_NAME, Unreadable, describe_damage
from fedcross.volumes.files.dicom.frames import Frame, Other, read_frames
from fedcross.volumes.files.dicom.header import is_dicom

MAX_FILES = 50_000
MAX_DEPTH = 8
_DICOM_SUFFIXES = {".dcm", ".ima", ".dicom"}
DIRECTORY = "Media Storage Directory"
"""The kind of the file DICOMDIR."""
_TEXT_BYTES = 512


@dataclass(frozen=True)
class Content:
    """What a folder holds.

    Attributes
    ----------
    frames : tuple of Frame
        The slices of all images, file by file in the order of the paths.
    others : tuple of str
        Names of the kinds of further DICOM objects, each once.
    """

    frames: tuple[Frame, ...]
    others: tuple[str, ...]


def read_folder(folder: Path) -> Content:
    """Read the headers of all DICOM files in a folder and its subfolders.

    An object without an image in a series of images counts as a damaged slice. If the folder itself
    holds images, only those images of its subfolders count that belong to the same series. A file
    whose copy was read already is left out.

    Raises
    ------
    DataError
        If there are too many files, or files that should be DICOM cannot be read.
    """
    name = plain_text(folder.name, MAX_NAME)
    frames: list[tuple[Frame, ...]] = []
    others: dict[Path, Other] = {}
    foreign: dict[Path, str] = {}
    damaged: dict[Path, str] = {}
    for path in list_files(folder):
        try:
            found = read_frames(path) if is_dicom(path) else None
        except OSError as error:
            foreign[path] = error.strerror or ""
        except Unreadable as error:
            damaged[path] = str(error)
        else:
            if found is None:
                foreign[path] = ""
            elif isinstance(found, Other):
                others[path] = found
            else:
                frames.append(found)
    similar = _looking_like(foreign, [each[0].file.path for each in frames])
    damaged |= {path: foreign[path] for path in similar}
    series = {each[0].file.series_uid for each in frames}
    damaged |= {
        path: f"it is no image, but {other.kind}"
        for path, other in others.items()
        if other.series_uid in series
    }
    if damaged:
        raise DataError(
            f"The series {name} has {describe_damage(damaged)}", "Export the whole series again."
        )
    kept = _without_copies(_of_the_top(folder, frames))
    kinds = dict.fromkeys(other.kind for other in others.values() if other.kind != DIRECTORY)
    return Content(tuple(frame for each in kept for frame in each), tuple(kinds))


def read_files(paths: Iterable[Path], name: str) -> Content:
    """Read the headers of the given files, all of which must be images.

    Parameters
    ----------
    paths
        The files; a path that is given twice counts once.
    name
        Name of the series in messages.

    Raises
    ------
    DataError
        If a file is missing, cannot be read, or is no image.
    """
    frames: list[Frame] = []
    damaged: dict[Path, str] = {}
    for path in sorted(set(paths)):
        try:
            found = read_frames(path) if is_dicom(path) else None
        except OSError as error:
            damaged[path] = error.strerror or ""
        except Unreadable as error:
            damaged[path] = str(error)
        else:
            if found is None or isinstance(found, Other):
                damaged[path] = "it is no image"
            else:
                frames += found
    if damaged:
        raise DataError(
            f"The series {name} has {describe_damage(damaged)}", "Import the whole series again."
        )
    return Content(tuple(frames), ())


def list_files(folder: Path) -> Iterator[Path]:
    """Yield the ordinary, visible files at or below a folder, sorted; links to folders are not followed.

    Raises
    ------
    DataError
        If there are more than `MAX_FILES`, or a folder cannot be listed.
    """
    name, count = plain_text(folder.name, MAX_NAME), 0

    def fail(error: OSError) -> None:
        raise DataError(f"The folder {name} cannot be read: {error.strerror}.") from error

    for place, folders, files in os.walk(folder, onerror=fail):
        depth = len(Path(place).relative_to(folder).parts)
        folders[:] = sorted(each for each in folders if depth < MAX_DEPTH and each[0] != ".")
        for file in sorted(each for each in files if each[0] != "."):
            count += 1
            if count > MAX_FILES:
                raise DataError(
                    f"The folder {name} holds more than {MAX_FILES} files.",
                    "Give the folder of one series.",
                )
            path = Path(place, file)
            if path.is_file() or not path.exists():  # no pipe, no device; a link may lead nowhere
                yield path


def _of_the_top(folder: Path, files: list[tuple[Frame, ...]]) -> list[tuple[Frame, ...]]:
    """The images in the folder itself and the rest of their series, or all if it holds none."""
    top = {each[0].file.series_uid for each in files if each[0].file.path.parent == folder}
    return [each for each in files if not top or each[0].file.series_uid in top]


def _without_copies(files: Iterable[tuple[Frame, ...]]) -> Iterator[tuple[Frame, ...]]:
    """Leave out files that have the UID and the bytes of an earlier one."""
    seen: dict[str, list[Path]] = {}
    for each in files:
        file = each[0].file
        earlier = seen.setdefault(file.sop_uid, [])
        if file.sop_uid and any(_same_bytes(file.path, other) for other in earlier):
            continue
        earlier.append(file.path)
        yield each


def _same_bytes(one: Path, other: Path) -> bool:
    if one.stat().st_size != other.stat().st_size:
        return False
    return _digest(one) == _digest(other)


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _looking_like(foreign: Iterable[Path], images: Iterable[Path]) -> list[Path]:
    """Files that are not DICOM, but have the suffix of DICOM or of the images beside them.

    A text without a suffix, such as a licence, is none of them.
    """
    suffixes = {(path.parent, _suffix(path)) for path in images}
    return [
        path
        for path in foreign
        if path.suffix.lower() in _DICOM_SUFFIXES
        or ((path.parent, _suffix(path)) in suffixes and not _is_text(path))
    ]


def _suffix(path: Path) -> str:
    """The suffix in lower case; empty for a number, which is the end of a UID."""
    suffix = path.suffix.lower()
    return "" if re.fullmatch(r"\.\d+", suffix) else suffix


def _is_text(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(_TEXT_BYTES)
    except OSError:
        return False
    return bool(start) and not re.search(rb"[\x00-\x08\x0e-\x1f]", start)
