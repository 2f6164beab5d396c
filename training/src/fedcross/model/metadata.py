"""Read and check the manifest of a bundle. This module does not import torch."""

import json
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from fedcross.contract.parse import parse_json
from fedcross.contract.plain_text import plain_text, shown_value
from fedcross.errors import BundleError
from fedcross.model.manifest import Manifest
from fedcross.runtime.files.archive import read_entry

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
        If ``metadata.json`` is missing or cannot be read, or see `parse_manifest`.
    """
    path = folder / METADATA
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_METADATA_BYTES:
            raise BundleError(f"{name}: metadata.json is no ordinary file or larger than 4 MB.")
        return parse_manifest(path.read_bytes(), name)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BundleError(f"{name} is no bundle: it lacks configs/metadata.json.") from error
    except OSError as error:
        raise BundleError(f"{name}: metadata.json cannot be read: {error.strerror}.") from error


def parse_manifest(content: bytes, name: str) -> Manifest:
    """Return the manifest in the content of ``metadata.json``, after strict validation.

    Parameters
    ----------
    content
        The whole file.
    name
        Name of the bundle in messages.

    Raises
    ------
    BundleError
        If it is larger than 4 MB, no JSON, has no manifest, or the manifest is invalid or of another
        version.
    """
    if len(content) > MAX_METADATA_BYTES:
        raise BundleError(f"{name}: metadata.json is larger than 4 MB.")
    try:
        values = parse_json(content)
    except ValueError as error:
        raise BundleError(f"{name}: metadata.json cannot be read as JSON.") from error
    if not isinstance(values, dict) or not isinstance(values.get(SECTION), dict):
        raise BundleError(
            f"{name} is a bundle without a FedCross ensemble: its metadata.json has no "
            f'"{SECTION}" section.'
        )
    return check_manifest(values[SECTION])


def read_zip_manifest(archive: zipfile.ZipFile, name: str) -> Manifest:
    """Read and check the manifest in the zip of a bundle, before anything is unpacked.

    Parameters
    ----------
    archive
        The opened zip; the bundle lies at its top or in one folder of it.
    name
        Name of the zip in messages.

    Raises
    ------
    BundleError
        If the zip holds no bundle, or see `parse_manifest`.
    """
    ending = METADATA.parts
    found = [
        entry
        for entry in archive.namelist()
        if (parts := PurePosixPath(entry).parts)[-len(ending) :] == ending
        and len(parts) <= len(ending) + 1
    ]
    if not found:
        raise BundleError(f"{name} is no bundle: it lacks configs/metadata.json.")
    return parse_manifest(read_entry(archive, min(found, key=len), MAX_METADATA_BYTES), name)


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
        shown = f", got {shown_value(first['input'])}"
        reason = plain_text(f"{where}: {first['msg'].removeprefix('Value error, ')}", 300)
        raise BundleError(
            f"The bundle's metadata is not valid: {reason}{shown}.",
            NEWER if first["type"] in _UNKNOWN else "",
        ) from error
    except RecursionError as error:
        raise BundleError("The bundle's metadata is not valid: it is nested too deeply.") from error
