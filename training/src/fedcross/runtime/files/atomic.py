"""Write files and folders so that they appear whole or not at all.

The content is written under a hidden name beside the target and then renamed. After an error, a
Ctrl-C or a full disk the target is the old one, or absent if there was none, and no hidden file is
left. What a killed process left is removed by the next writer of the same target.

New files and folders have the usual permissions (0666 and 0777 less the umask). A `BrokenPipeError`
is not translated: it concerns the reader of the progress, not the disk. This module needs the
standard library only.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

from fedcross.errors import FedCrossError, OutputError
from fedcross.runtime.files.durable import flush_file, flush_folder, flush_tree
from fedcross.runtime.files.folders import new_folder
from fedcross.runtime.files.lock import exclusive
from fedcross.runtime.files.partial import (
    PARTIAL,
    REPLACED,
    hidden_name,
    remove_abandoned,
    remove_quietly,
)

HINT = "Check the folder's permissions and the free space."


def write_atomically(
    path: Path,
    data: bytes,
    *,
    durable: bool = False,
    error_class: type[FedCrossError] = OutputError,
) -> None:
    """Write `data` to the file `path`; the parameters and errors are those of `atomic_path`."""
    with atomic_file(path, durable=durable, error_class=error_class) as file:
        file.write(data)


@contextmanager
def atomic_file(
    path: Path,
    mode: Literal["wb", "w"] = "wb",
    *,
    newline: str | None = None,
    durable: bool = False,
    error_class: type[FedCrossError] = OutputError,
) -> Iterator[IO[Any]]:
    """Yield an open file whose content is at `path` after the block.

    Parameters
    ----------
    path, durable, error_class
        See `atomic_path`.
    mode
        ``wb`` for bytes, ``w`` for text in UTF-8.
    newline
        Line ends of text, as `open` takes them; ``""`` for the module `csv`.

    Raises
    ------
    FedCrossError
        See `atomic_path`.
    """
    encoding = None if mode == "wb" else "utf-8"
    with atomic_path(path, durable=durable, error_class=error_class) as partial:
        file = open(partial, mode, encoding=encoding, newline=newline)  # noqa: SIM115
        try:
            yield file
        except BaseException:
            with suppress(OSError):  # on a full disk closing fails, too
                file.close()
            raise
        file.close()


@contextmanager
def atomic_path(
    path: Path, *, durable: bool = False, error_class: type[FedCrossError] = OutputError
) -> Iterator[Path]:
    """Yield the name of an empty file, for a library to write; it becomes `path` after the block.

    Parameters
    ----------
    path
        File to make or replace; its folder must exist.
    durable
        Whether to wait until the file is on the disk, so that it also survives a power failure.
    error_class
        Class of the error if the file cannot be written.

    Raises
    ------
    FedCrossError
        An `error_class`, instead of an `OSError` in the block or here: the file cannot be written.
    """
    remove_abandoned(PARTIAL, path)
    partial, is_new = hidden_name(PARTIAL, path), not os.path.lexists(path)
    try:
        with _translate_errors(path.name, error_class, HINT):
            open(partial, "xb").close()
            yield partial
            if durable:
                flush_file(partial)
            os.replace(partial, path)
            if durable:
                _flush_name(path, is_new)
    finally:
        remove_quietly(partial)


@contextmanager
def atomic_folder(
    path: Path,
    *,
    replace: bool = True,
    durable: bool = False,
    error_class: type[FedCrossError] = OutputError,
    subject: str = "",
    hint: str = HINT,
) -> Iterator[Path]:
    """Yield an empty folder that becomes `path` after the block.

    Parameters
    ----------
    path
        Folder to make; its parents are made, too, and removed again after an error.
    replace
        Whether to replace what is at `path`. It stays untouched until the end of the block and is
        put back if the exchange fails.
    durable
        Whether to wait until the folder is on the disk, so that it also survives a power failure.
    error_class
        Class of the error if the folder cannot be written.
    subject
        What the error message names; the folder's name if empty.
    hint
        What the error message advises.

    Raises
    ------
    FedCrossError
        An `error_class`, instead of an `OSError` in the block or here: the folder cannot be written,
        or `replace` is false and it exists.
    """
    with (
        _translate_errors(subject or path.name or str(path), error_class, hint),
        new_folder(path.parent),
        scratch_folder(path) as partial,
    ):
        yield partial
        if durable:
            flush_tree(partial)
        with exclusive(path.parent):
            is_new = not os.path.lexists(path)
            _exchange(partial, path, replace)
            if durable:
                _flush_name(path, is_new)
    remove_abandoned(REPLACED, path)


@contextmanager
def scratch_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside `target` for intermediate results; it is removed after the block.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    remove_abandoned(PARTIAL, target)
    folder = hidden_name(PARTIAL, target)
    try:
        folder.mkdir()
        yield folder
    finally:
        remove_quietly(folder)


@contextmanager
def _translate_errors(subject: str, error_class: type[FedCrossError], hint: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = f": {error.strerror}" if error.strerror else ""
        raise error_class(f"{subject} cannot be written{reason}.", hint) from error


def _flush_name(path: Path, is_new: bool) -> None:
    """Flush the name of what was written; if that fails and it replaced nothing, remove it again."""
    try:
        flush_folder(path.parent)
    except OSError:
        if is_new:
            remove_quietly(path)
        raise


def _exchange(partial: Path, path: Path, replace: bool) -> None:
    """Rename `partial` to `path`; what is there is moved aside, and back if that fails."""
    replaced = hidden_name(REPLACED, path)
    try:
        if replace and os.path.lexists(path):
            os.rename(path, replaced)
        os.rename(partial, path)
    finally:
        if os.path.lexists(path):
            remove_quietly(replaced)
        else:
            with suppress(OSError):  # the only copy stays beside `path`
                os.rename(replaced, path)
