"""CSV files for spreadsheets and programs."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from slicer.i18n import tr as _

from fedcross.contract.plain_text import csv_cell
from fedcross.errors import OutputError
from fedcross.runtime.files.atomic import atomic_file
from FedCrossSlicerLib.errors import InferenceError


def writeCSV(rows: Iterable[Sequence[object]], path: Path) -> None:
    """Write a CSV file (RFC 4180, UTF-8); an interruption leaves the file as it was before.

    Texts are made plain, and none becomes a formula in a spreadsheet: see `csv_cell`.

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
    try:
        with atomic_file(path, "w", newline="") as file:
            csv.writer(file).writerows([csv_cell(cell) for cell in row] for row in rows)
    except OutputError as error:
        why = error.__cause__.strerror if isinstance(error.__cause__, OSError) else None
        raise InferenceError(
            _("{name} cannot be written: {why}.").format(name=path.name, why=why)
        ) from error
