"""Read and check the manifest of a bundle. This module does not import torch."""

import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fedcross.errors import BundleError
from fedcross.model.manifest import Manifest

METADATA = Path("configs") / "metadata.json"
SECTION = "fedcross"
MAX_METADATA_BYTES = 4_000_000
NEWER = "If a newer version of fedcross made it, install that version."
_UNKNOWN = ("literal_error", "extra_forbidden", "union_tag_invalid")  # as a newer version may write


def read_manifest(folder: Path, name: str) -> Manifest:
    """Read and check the manifest of a bundle folder.

    Parameters
    ----------
    folder
        The bundle folder.
    name
        Name of the bundle in messages.

    Raises
    ------
    BundleError
        If ``metadata.json`` is missing, larger than 4 MB, no JSON, has no manifest, or the manifest is
        invalid or of another version.
    """
    path = folder / METADATA
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_METADATA_BYTES:
            raise BundleError(f"{name}: metadata.json is no ordinary file or larger than 4 MB.")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BundleError(f"{name} is no bundle: it lacks configs/metadata.json.") from error
    except OSError as error:
        raise BundleError(f"{name}: metadata.json cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{name}: metadata.json cannot be read as JSON.") from error
    if not isinstance(content, dict) or not isinstance(content.get(SECTION), dict):
        raise BundleError(
            f"{name} is a bundle without a FedCross ensemble: its metadata.json has no "
            f'"{SECTION}" section.'
        )
    return check_manifest(content[SECTION])


def find_bundle(unpacked: Path) -> Path:
    """Return the bundle folder in an unpacked zip: the zip's root, or the only bundle folder in it."""
    inner = [folder for folder in sorted(unpacked.iterdir()) if (folder / METADATA).is_file()]
    return inner[0] if len(inner) == 1 and not (unpacked / METADATA).is_file() else unpacked


def check_manifest(fields: Mapping[str, Any]) -> Manifest:
    """Return the manifest with the given fields, after strict validation.

    Parameters
    ----------
    fields
        JSON values by the names of `Manifest`'s fields.

    Raises
    ------
    BundleError
        If a field is invalid. The message is one line with the first such field and its value.
    """
    try:
        return Manifest.model_validate_json(json.dumps(fields))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "manifest"
        given = repr(first["input"])
        shown = f", got {given}" if len(given) < 80 else ""
        reason = _sanitise(f"{where}: {first['msg'].removeprefix('Value error, ')}")
        raise BundleError(
            f"The bundle's metadata is not valid: {reason}{shown}.",
            NEWER if first["type"] in _UNKNOWN else "",
        ) from error


def _sanitise(text: str, length: int = 300) -> str:
    """Return text from an unknown source as one printable line of limited length."""
    line = "".join(sign if sign.isprintable() else "?" for sign in text)
    return line if len(line) <= length else f"{line[:length]}..."
