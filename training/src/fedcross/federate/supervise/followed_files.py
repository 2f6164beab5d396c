"""The growing files of a run, copied from the server to the coordinator while the run goes on.

The coordinator tells for each file how many bytes it has, and their CRC-32. The server answers with the
place at which its new text begins, and the text. The place is the end of the coordinator's bytes, or 0
if the server's file does not begin with them, as after a restart that dropped an unfinished round.
"""

import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from fedcross.contract.parse import parse_json
from fedcross.contract.plain_text import plain_text
from fedcross.errors import CheckpointError
from fedcross.federate.supervise.server_connection import FederationError
from fedcross.runtime.files.atomic import write_atomically
from fedcross.training.run.folder import METRICS
from fedcross.training.run.monitor import LOG, STATUS, log_message

FOLLOWED = (LOG, METRICS, STATUS)
MAX_BYTES = 200_000
"""Bytes of a file in one answer; the rest follows with the next answers."""

LONGEST_LINE = 2000
"""Characters of a line that are shown."""

Known = dict[str, list[int]]


class NewText(BaseModel):
    """What a file has beyond the coordinator's copy.

    Attributes
    ----------
    start
        Byte at which the text begins.
    text
        The bytes from there, each as the character of the same number (Latin-1).
    """

    start: Annotated[int, Field(ge=0)]
    text: Annotated[str, Field(max_length=MAX_BYTES)]


NEW_TEXTS = TypeAdapter(dict[str, NewText])


def read_new_texts(folder: Path, known: Any) -> dict[str, dict[str, Any]]:
    """Read what the followed files of a folder have beyond the coordinator's copies.

    Parameters
    ----------
    folder
        The run folder at the server; files may be missing.
    known
        Number of bytes and CRC-32 of each copy by the file's name, see `FollowedFiles.known`. What has
        another form counts as no copy.

    Returns
    -------
    dict
        Fields of `NewText` by the file's name, whole lines only; without files that have nothing new.
    """
    found = {}
    for name in FOLLOWED:
        content = _read(folder / name)
        start = _end_of_copy(content, known.get(name) if isinstance(known, Mapping) else None)
        new = content[start : start + MAX_BYTES]
        new = new[: new.rfind(b"\n") + 1]
        if new:
            found[name] = {"start": start, "text": new.decode("latin-1")}
    return found


class FollowedFiles:
    """The coordinator's copies of a run's growing files.

    Parameters
    ----------
    folder
        The coordinator's run folder; it may hold earlier copies.
    log
        Receives every new line of ``train.log``, without its time.
    add_metrics
        Receives every new line of ``metrics.jsonl``; may be None.
    """

    def __init__(
        self,
        folder: Path,
        log: Callable[[str], None],
        add_metrics: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self._folder, self._log, self._add_metrics = folder, log, add_metrics

    def known(self) -> Known:
        """Number of bytes and CRC-32 of every copy by the file's name, for `read_new_texts`."""
        contents = {name: _read(self._folder / name) for name in FOLLOWED}
        return {name: [len(each), zlib.crc32(each)] for name, each in contents.items()}

    def add(self, new_texts: Any) -> None:
        """Add what the server sent, see `read_new_texts`, to the copies and pass on the new lines.

        Raises
        ------
        FederationError
            If it has another form.
        CheckpointError
            If a copy cannot be written.
        """
        try:
            checked = NEW_TEXTS.validate_python(new_texts)
            parts = {name: each.text.encode("latin-1") for name, each in checked.items()}
        except (ValidationError, UnicodeEncodeError) as error:
            raise FederationError("The server sent files of a run in another form.") from error
        for name in FOLLOWED:
            if name in parts:
                self._add(name, checked[name].start, parts[name])

    def complete(self, result: Path) -> None:
        """Bring the copies to the state of a downloaded result; see `add`."""
        while new := read_new_texts(result, self.known()):
            self.add(new)

    def _add(self, name: str, start: int, new: bytes) -> None:
        path = self._folder / name
        copy = _read(path)
        if start > len(copy):
            return
        write_atomically(path, copy[:start] + new, error_class=CheckpointError)
        lines = new.decode("utf-8", "replace").rstrip("\n").split("\n")
        if name == LOG:
            for line in lines:
                self._log(plain_text(log_message(line), LONGEST_LINE))
        elif name == METRICS and self._add_metrics is not None:
            for line in lines:
                if (figures := _parse(line)) is not None:
                    self._add_metrics(figures)


def _read(path: Path) -> bytes:
    """Content of a file; empty if there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read: {error.strerror}.") from error


def _end_of_copy(content: bytes, copy: Any) -> int:
    """Length of the copy that `content` begins with; 0 if it does not begin with the copy."""
    if not isinstance(copy, list) or len(copy) != 2 or not isinstance(copy[0], int):
        return 0
    size, checksum = copy
    begins = 0 <= size <= len(content) and zlib.crc32(content[:size]) == checksum
    return size if begins else 0


def _parse(line: str) -> dict[str, Any] | None:
    try:
        figures = parse_json(line)
    except (ValueError, RecursionError):
        return None
    is_line = isinstance(figures, dict) and isinstance(figures.get("round"), int)
    return figures if is_line else None
