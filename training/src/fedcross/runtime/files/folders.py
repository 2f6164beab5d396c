"""Make folders, and remove those that stay empty."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fedcross.errors import FedCrossError, OutputError


def make_folder(
    path: Path, *, error_class: type[FedCrossError] = OutputError, subject: str = ""
) -> None:
    """Make a folder and its parents, unless it exists.

    Raises
    ------
    FedCrossError
        An `error_class` that names `subject` (by default the folder): it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise error_class(
            f"{subject or f'The folder {path.name}'} cannot be made: {error.strerror}."
        ) from error


@contextmanager
def new_folder(path: Path) -> Iterator[None]:
    """Make a folder and its parents; after the block, remove those of them that are new and empty.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    made = [
        each for each in (path, *path.parents) if not os.path.exists(each)
    ]  # the innermost first
    try:
        path.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for each in made:
            with suppress(OSError):  # it is not empty, or was removed
                each.rmdir()
