"""What a bundle says about itself, for the panel. The child checks it in earnest before it is used.

Plain JSON of bounded size: this works before the child's packages are installed. Everything in it was
written by a stranger.
"""

import json
import math
import stat
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from slicer.i18n import tr as _

from FedCrossSlicerLib.errors import InferenceError

METADATA, CARD = "configs/metadata.json", "docs/README.md"
MAX_METADATA_BYTES = 4_000_000
MAX_CARD_BYTES = 200_000
MAX_ENTRIES = 1000
Color = tuple[float, float, float]


@dataclass(frozen=True)
class BundleInfo:
    """A bundle in words and numbers.

    Attributes
    ----------
    members
        Their number, K.
    structures
        Name and colour (red, green, blue, 0 to 1) of each.
    sites
        Where it was trained; may be empty.
    modality
        Such as "MR"; ``""`` when it does not say.
    spacing, patchSize
        (x, y, z), mm and voxels.
    card
        The model card, Markdown; ``""`` when there is none.
    """

    path: Path
    name: str
    members: int
    structures: tuple[tuple[str, Color], ...]
    sites: tuple[str, ...]
    modality: str
    spacing: tuple[float, float, float]
    patchSize: tuple[int, int, int]
    card: str


def readBundleInfo(path: Path) -> BundleInfo:
    """Read what a bundle's folder or ``.zip`` says about itself.

    Raises
    ------
    InferenceError
        If there is none, or it is no bundle.
    """
    try:
        metadata, card = _fromFolder(path) if path.is_dir() else _fromZip(path)
        content = json.loads(metadata)["fedcross"]
        return _info(path, content, card.decode("utf-8", errors="replace"))
    except FileNotFoundError as error:
        raise InferenceError(_("There is no bundle at that place.")) from error
    except OSError as error:
        raise InferenceError(
            _("The bundle cannot be read: {why}.").format(why=error.strerror)
        ) from error
    except (ValueError, TypeError, KeyError, RecursionError, *_DAMAGE) as error:
        raise InferenceError(
            _("{name} is not a FedCross bundle.").format(name=path.name)
        ) from error


_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, AttributeError)


def _fromFolder(folder: Path) -> tuple[bytes, bytes]:
    card = folder / CARD
    return (
        _readFile(folder / METADATA, MAX_METADATA_BYTES),
        _readFile(card, MAX_CARD_BYTES) if card.exists() else b"",
    )


def _readFile(path: Path, most: int) -> bytes:
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > most:
        raise ValueError(f"{path.name} is no ordinary file or too large")
    return path.read_bytes()


def _fromZip(path: Path) -> tuple[bytes, bytes]:
    """A zip holds the bundle, or one folder that is the bundle."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if len(names) > MAX_ENTRIES:
            raise ValueError("too many entries")
        metadata = min((name for name in names if _ends(name, METADATA)), key=len)
        card = metadata[: -len(METADATA)] + CARD
        return (
            _readEntry(archive, metadata, MAX_METADATA_BYTES),
            _readEntry(archive, card, MAX_CARD_BYTES) if card in names else b"",
        )


def _ends(name: str, wanted: str) -> bool:
    parts, ending = PurePosixPath(name).parts, PurePosixPath(wanted).parts
    return parts[-len(ending) :] == ending and len(parts) <= len(ending) + 1


def _readEntry(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    with archive.open(name) as entry:
        data = entry.read(most + 1)  # whatever size the zip declares
    if len(data) > most:
        raise ValueError(f"{name} is too large")
    return data


def _info(path: Path, content: Mapping[str, Any], card: str) -> BundleInfo:
    steps = content["preprocessing"]
    spacing, patch = _triple(steps["spacing_mm"]), _triple(steps["patch_size"])
    return BundleInfo(
        path=path,
        name=_text(content["name"]),
        members=len(_list(content["members"])),
        structures=tuple(
            (_text(entry["name"]), _triple(entry.get("color", (0.5, 0.5, 0.5))))
            for entry in _list(content["structures"])
        ),
        sites=tuple(_text(site) for site in _list(content.get("sites", []))),
        modality=_text(steps.get("modality", "")),
        spacing=spacing,
        patchSize=(int(patch[0]), int(patch[1]), int(patch[2])),
        card=card,
    )


def _text(value: Any, most: int = 200) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text was expected, not {value!r}")
    return "".join(sign if sign.isprintable() else " " for sign in value[:most])


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > MAX_ENTRIES:
        raise TypeError("a list was expected")
    return value


def _triple(values: Any) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    if not all(math.isfinite(value) and 0 <= value < 1e6 for value in (x, y, z)):
        raise ValueError(f"{values} are no three sensible numbers")
    return (x, y, z)
