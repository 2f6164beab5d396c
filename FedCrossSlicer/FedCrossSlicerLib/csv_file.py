"""CSV files for spreadsheets and programs."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from slicer.i18n import tr as _

from FedCrossSlicerLib.errors import InferenceError


def writeCSV(rows: Iterable[Sequence[object]], path: Path) -> None:
    """Write a CSV file (RFC 4180, UTF-8); an interruption leaves the file as it was before.

    Parameters
    ----------
    rows
        The header and the rows below it.
    path
        The file; replaced if it exists.

    Raises
    ------
    InferenceError
        If the file cannot be written.
    """
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    partial = path.with_name(path.name + ".part")
    try:
        try:
            partial.write_bytes(text.getvalue().encode())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise InferenceError(
            _("{name} cannot be written: {why}.").format(name=path.name, why=error.strerror)
        ) from error
