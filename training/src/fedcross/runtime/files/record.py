"""A record in a JSON file of a folder: written by one process, read and checked by another."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from fedcross.errors import DataError

_Form = TypeVar("_Form", bound=BaseModel)


def write_record(path: Path, record: BaseModel) -> None:
    """Write a record; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_record(path: Path, form: type[_Form], problem: str) -> _Form:
    """Read what `write_record` wrote.

    Raises
    ------
    DataError
        With the sentence `problem`, if the file is missing or does not have the agreed form.
    """
    try:
        return form.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # a ValidationError is a ValueError
        raise DataError(problem) from error
