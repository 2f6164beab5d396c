"""``visits.log`` in a hospital's kit: one line for everything that a run did at the hospital.

The file stays at the hospital. A line has no names of patients or files::

    2026-11-29 23:31:05 UTC run=1b316e3ef26e-1fa2647e task=train round=2 cases=12 seconds=42.1
    bytes_out=351330 left=member,loss loss=0.4312 outcome=done

(in one line). What is not known is left out. At 1 MB the file is renamed to ``visits.log.1``, which
replaces the one before.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fedcross.errors import OutputError

VISITS, OLDER_VISITS = "visits.log", "visits.log.1"
MAX_BYTES = 1_000_000
MAX_WORD = 80
TIME_FORMAT = "%Y-%m-%d %H:%M:%S UTC"
LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC) (run=\S+ .*)")
DONE, REFUSED, FAILED, GIVEN_UP = "done", "refused", "failed", "given-up"
NUMBERS = {"round": int, "cases": int, "seconds": float, "bytes_out": int}
RESULTS = {"loss": float, "dice": float}


@dataclass(frozen=True)
class Entry:
    """One line of the log.

    Attributes
    ----------
    time
        When the task ended, in UTC.
    run
        Identifier of the run, or of the job for a plan, a calibration or a profile.
    task
        What was asked: ``join`` for taking part at all, ``open``, ``train``, ``validate``, ``test``,
        ``figures`` (for a plan), ``likelihood`` or ``curves`` (for a calibration), ``properties``,
        ``distances`` or ``scores`` (for a profile).
    outcome
        ``done``; ``refused`` by the hospital; ``failed``; ``given-up``, because the server began another
        task.
    reason
        Reason of a refusal or type of an error, one word; else empty.
    round
        Number of the round, from 1; None for other tasks than training.
    cases
        Number of cases that were used.
    seconds
        Wall time in seconds.
    bytes_out
        Size of what was sent to the server, in bytes, before encryption.
    left
        What was sent: ``member`` and the names of figures.
    loss, dice
        Mean training loss and mean validation Dice at this hospital, also if they were not sent.
    """

    time: datetime
    run: str
    task: str
    outcome: str
    reason: str = ""
    round: int | None = None
    cases: int | None = None
    seconds: float | None = None
    bytes_out: int | None = None
    left: tuple[str, ...] = ()
    loss: float | None = None
    dice: float | None = None

    def line(self) -> str:
        """The line for the file, without its end."""
        values = {
            "run": self.run,
            "task": self.task,
            **{name: getattr(self, name) for name in NUMBERS},
            "left": ",".join(map(_word, self.left)) or None,
            **{name: getattr(self, name) for name in RESULTS},
            "outcome": self.outcome,
            "reason": self.reason or None,
        }
        words = [f"{name}={_word(value)}" for name, value in values.items() if value is not None]
        return " ".join([self.time.strftime(TIME_FORMAT), *words])


def append_entry(kit: Path, entry: Entry) -> None:
    """Append a line to the log of a kit; only its owner can read the file.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    path = kit / VISITS
    try:
        if path.exists() and path.stat().st_size >= MAX_BYTES:
            path.replace(kit / OLDER_VISITS)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(f"{entry.line()}\n".encode("ascii", errors="replace"))
    except OSError as error:
        raise OutputError(f"{VISITS} cannot be written: {error.strerror}.") from error


def read_entries(kit: Path) -> Iterator[Entry]:
    """Yield the entries of a kit's log, oldest first; lines of another form are left out.

    Raises
    ------
    OutputError
        If the file exists and cannot be read.
    """
    for name in (OLDER_VISITS, VISITS):
        try:
            text = (kit / name).read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise OutputError(f"{name} cannot be read: {error.strerror}.") from error
        for line in text.splitlines():
            if (entry := _parse(line)) is not None:
                yield entry


def _parse(line: str) -> Entry | None:
    found = LINE.fullmatch(line)
    if found is None:
        return None
    values = dict(word.split("=", 1) for word in found[2].split() if "=" in word)
    try:
        numbers = {
            name: kind(values[name])
            for name, kind in {**NUMBERS, **RESULTS}.items()
            if name in values
        }
        return Entry(
            datetime.strptime(found[1], TIME_FORMAT).replace(tzinfo=UTC),
            values["run"],
            values["task"],
            values["outcome"],
            values.get("reason", ""),
            left=tuple(each for each in values.get("left", "").split(",") if each),
            **numbers,
        )
    except (LookupError, ValueError):
        return None


def _word(value: object) -> str:
    """A value as one word of harmless characters; numbers with at most four decimals."""
    if isinstance(value, float):
        return f"{value:.4f}".rstrip("0").rstrip(".")
    return re.sub(r"[^A-Za-z0-9_.,-]", "?", str(value))[:MAX_WORD]
