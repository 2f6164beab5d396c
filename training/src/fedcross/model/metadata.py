"""Read and check what a bundle says about itself. Nothing here imports torch."""

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


def read_manifest(folder: Path, name: str) -> Manifest:
    """Read a bundle folder's manifest; `name` is what messages call the bundle.

    Raises
    ------
    BundleError
        If there is none, it is larger than 4 MB, no JSON, or not one this version understands.
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


def check_manifest(fields: Mapping[str, Any]) -> Manifest:
    """Make a manifest of plain values, strictly.

    Raises
    ------
    BundleError
        At the first field that is wrong; one line that names it and the value received.
    """
    try:
        return Manifest.model_validate_json(json.dumps(fields))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "manifest"
        given = repr(first["input"])
        shown = f", got {given}" if len(given) < 80 else ""
        told = _one_line(f"{where}: {first['msg'].removeprefix('Value error, ')}")
        raise BundleError(f"The bundle's metadata is not valid: {told}{shown}.") from error


def _one_line(text: str, length: int = 300) -> str:
    """Return what may quote a stranger's text as one printable line of bounded length."""
    line = "".join(sign if sign.isprintable() else "?" for sign in text)
    return line if len(line) <= length else f"{line[:length]}..."
