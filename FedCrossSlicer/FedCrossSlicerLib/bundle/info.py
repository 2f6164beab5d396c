"""The description of a bundle that the panel shows: name, structures, sites, model card.

Only JSON of limited size is read, so this works before the child process's packages are installed. The
content comes from strangers and is checked here only as far as the panel shows it; the child process
verifies the whole bundle before it segments.
"""

import math
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from slicer.i18n import tr as _

from fedcross.contract.parse import parse_json
from fedcross.contract.plain_text import plain_text
from fedcross.contract.request import MAX_CHANNELS
from fedcross.errors import BundleError
from fedcross.runtime.files.archive import open_archive, read_entry
from FedCrossSlicerLib.errors import InferenceError

METADATA, CARD = "configs/metadata.json", "docs/README.md"
ZIP = ".zip"
MAX_METADATA_BYTES = 4_000_000
MAX_CARD_BYTES = 200_000
MAX_ENTRIES = 1000
Color = tuple[float, float, float]


@dataclass(frozen=True)
class BundleInfo:
    """The description of a bundle.

    Attributes
    ----------
    path
        The bundle's folder or ``.zip``.
    name
        The bundle's name, at most 200 characters.
    members
        Number of members.
    structures
        Name and colour (red, green, blue; each 0 to 1) of each structure.
    sites
        Names of the sites that trained the bundle; may be empty.
    modality
        DICOM modality of the training images, such as ``"MR"``; ``""`` if the bundle names none.
    channels
        Name and modality of each image of a case, in the order of the networks; empty for a single
        image without a name.
    spacing
        Voxel size (x, y, z) of the networks' grid in mm.
    patchSize
        Size (x, y, z) of the networks' patch in voxels.
    intensity
        Kind of intensity normalisation, such as ``"zscore"``.
    card
        The model card in Markdown; ``""`` if the bundle has none.
    """

    path: Path
    name: str
    members: int
    structures: tuple[tuple[str, Color], ...]
    sites: tuple[str, ...]
    modality: str
    channels: tuple[tuple[str, str], ...]
    spacing: tuple[float, float, float]
    patchSize: tuple[int, int, int]
    intensity: str
    card: str


def isBundlePath(path: Path) -> bool:
    """Return whether a path is a zip file, or a folder with a bundle's metadata; nothing is opened."""
    try:
        return path.suffix.lower() == ZIP if path.is_file() else (path / METADATA).is_file()
    except OSError:
        return False  # for instance without the permission to look into the folder


def readBundleInfo(path: Path) -> BundleInfo:
    """Read the description of a bundle.

    Parameters
    ----------
    path
        The bundle's folder or ``.zip``.

    Raises
    ------
    InferenceError
        If nothing lies at `path`, it cannot be read or it is not a bundle.
    """
    try:
        path.stat()
        metadata, card = _fromFolder(path) if path.is_dir() else _fromZip(path)
        content = parse_json(metadata)["fedcross"]
        return _info(path, content, card.decode("utf-8", errors="replace"))
    except FileNotFoundError as error:
        raise InferenceError(_("There is no bundle at this path.")) from error
    except OSError as error:
        raise InferenceError(
            _("The bundle cannot be read: {why}.").format(why=error.strerror)
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, BundleError) as error:
        raise InferenceError(
            _("{name} is not a FedCross bundle.").format(name=path.name)
        ) from error


def _fromFolder(folder: Path) -> tuple[bytes, bytes]:
    card = folder / CARD
    return (
        _readFile(folder / METADATA, MAX_METADATA_BYTES),
        _readFile(card, MAX_CARD_BYTES) if card.exists() else b"",
    )


def _readFile(path: Path, maxBytes: int) -> bytes:
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > maxBytes:
        raise ValueError(f"{path.name} is not a regular file or is too large")
    return path.read_bytes()


def _fromZip(path: Path) -> tuple[bytes, bytes]:
    """The bundle may lie at the top of the zip or in one folder of it."""
    with open_archive(path) as archive:
        names = archive.namelist()
        metadata = min((name for name in names if _isBundleFile(name, METADATA)), key=len)
        card = metadata[: -len(METADATA)] + CARD
        return (
            _readEntry(archive, metadata, MAX_METADATA_BYTES),
            _readEntry(archive, card, MAX_CARD_BYTES) if card in names else b"",
        )


def _isBundleFile(name: str, file: str) -> bool:
    """Whether the entry `name` of a zip is the bundle's file `file`, in one folder at most."""
    parts, ending = PurePosixPath(name).parts, PurePosixPath(file).parts
    return parts[-len(ending) :] == ending and len(parts) <= len(ending) + 1


def _readEntry(archive: zipfile.ZipFile, name: str, maxBytes: int) -> bytes:
    data = read_entry(archive, name, maxBytes)
    if len(data) > maxBytes:
        raise ValueError(f"{name} is too large")
    return data


def _info(path: Path, content: Mapping[str, Any], card: str) -> BundleInfo:
    preprocessing = content["preprocessing"]
    modality = _text(preprocessing.get("modality", ""))
    spacing, patch = _triple(preprocessing["spacing_mm"]), _triple(preprocessing["patch_size"])
    return BundleInfo(
        path=path,
        name=_text(content["name"]),
        members=len(_list(content["members"])),
        structures=tuple(
            (_text(entry["name"]), _triple(entry.get("color", (0.5, 0.5, 0.5))))
            for entry in _list(content["structures"])
        ),
        sites=tuple(_text(site) for site in _list(content.get("sites", []))),
        modality=modality,
        channels=tuple(
            (_text(entry["name"], 40), _text(entry.get("modality", "")) or modality)
            for entry in _list(preprocessing.get("channels", []), MAX_CHANNELS)
        ),
        spacing=spacing,
        patchSize=(int(patch[0]), int(patch[1]), int(patch[2])),
        intensity=_text(preprocessing.get("intensity", "zscore")),
        card=card,
    )


def _text(value: Any, maxCharacters: int = 200) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a string, got {value!r}")
    return plain_text(value, maxCharacters)


def _list(value: Any, maxEntries: int = MAX_ENTRIES) -> list[Any]:
    if not isinstance(value, list) or len(value) > maxEntries:
        raise TypeError(f"expected a list of at most {maxEntries} entries")
    return value


def _triple(values: Any) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    if not all(math.isfinite(value) and 0 <= value < 1e6 for value in (x, y, z)):
        raise ValueError(f"expected three numbers from 0 to 1e6, got {values}")
    return (x, y, z)
