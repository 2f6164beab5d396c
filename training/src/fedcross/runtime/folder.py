"""A folder that appears whole or not at all."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedcross.errors import OutputError


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a folder beside `path` that takes its place when all went well, and vanishes if not.

    What is at `path` already stays untouched until then, and is back if the exchange fails.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.") from error
    retired = partial.with_name(f"{partial.name}-old")
    try:
        yield partial
        partial.chmod(0o755)
        if path.exists():
            path.rename(retired)
        partial.rename(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        if retired.exists() and not path.exists():
            retired.rename(path)
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(retired, ignore_errors=True)
