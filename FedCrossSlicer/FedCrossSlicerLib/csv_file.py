"""CSV files for spreadsheets and programs."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from fedcross.errors import OutputError
from fedcross.runtime.files.atomic import write_atomically
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
    try:
        write_atomically(path, text.getvalue().encode())
    except OutputError as error:
        raise InferenceError(str(error)) from error
