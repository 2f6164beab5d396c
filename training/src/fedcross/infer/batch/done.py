"""Finds the cases that are done: a result is kept if bundle, images and options are the same."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from pydantic import ValidationError

from fedcross.contract.files import SUMMARY
from fedcross.contract.parse import parse_json
from fedcross.contract.request import RequestOptions
from fedcross.errors import DataError
from fedcross.infer.batch.case import Case
from fedcross.infer.results.summary import Summary
from fedcross.runtime.files.atomic import write_atomically
from fedcross.runtime.versions import __version__
from fedcross.volumes.files.content import add_content

RECORD = "case.json"
"""In each result folder: what its result was made from, as hashes without names."""
_NOT_IN_RESULT = ("device", "max_memory_gb", "max_hours", "roi")


def case_key(case: Case, bundle_sha256: str, options: RequestOptions) -> str:
    """Return what determines the result of a case, as one SHA-256 in hexadecimal.

    That is the version of this package, the bundle, the contents of the images, the box, and every
    option that changes the result.

    Raises
    ------
    DataError
        If a file cannot be read.
    """
    recipe = {
        "version": __version__,
        "bundle": bundle_sha256,
        "series": case.series,
        "options": {
            name: value for name, value in asdict(options).items() if name not in _NOT_IN_RESULT
        },
    }
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True, default=str).encode())
    try:
        for index, image in enumerate(case.images):
            digest.update(f"image {index}".encode())
            add_content(digest, image)
        if options.roi is not None:
            digest.update(b"roi")
            add_content(digest, options.roi)
    except FileNotFoundError as error:
        name = Path(error.filename).name
        raise DataError(f"There is no file or folder named {name}.") from error
    except OSError as error:
        raise DataError(f"A file cannot be read: {error.strerror}.", "Copy it again.") from error
    return digest.hexdigest()


def read_done(folder: Path, key: str) -> Summary | None:
    """Return the summary of a finished result; None if it is none, or not that of the key.

    Parameters
    ----------
    folder
        Result folder of the case; it may be absent.
    key
        See `case_key`.
    """
    try:
        content = (folder / SUMMARY).read_bytes()
        record = parse_json((folder / RECORD).read_bytes())
        if record != _record(key, content):
            return None
        summary = Summary.model_validate_json(content)
    except (OSError, ValueError, RecursionError, ValidationError):
        return None
    is_whole = all((folder / Path(name).name).is_file() for name in summary.files.values())
    return summary if is_whole else None


def record_done(folder: Path, key: str) -> Summary:
    """Record what a new result was made from, and return its summary.

    Raises
    ------
    OutputError
        If the record cannot be written.
    """
    content = (folder / SUMMARY).read_bytes()
    text = json.dumps(_record(key, content), indent=1) + "\n"
    write_atomically(folder / RECORD, text.encode("ascii"))
    return Summary.model_validate_json(content)


def _record(key: str, summary: bytes) -> dict[str, str]:
    """Return the record; the hash of the summary shows whether another command replaced the result."""
    return {"key": key, "summary_sha256": hashlib.sha256(summary).hexdigest()}
