"""Records in ``visits.log`` what a job does at a hospital."""

import json
import logging
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedcross.errors import OutputError
from fedcross.federate.kits.approvals import ApprovalError
from fedcross.federate.kits.visit_log import (
    DONE,
    FAILED,
    GIVEN_UP,
    REFUSED,
    Entry,
    append_entry,
    read_entries,
)
from fedcross.federate.remote.site_work import FIGURES, TEST, TRAIN, Answer

JOIN = "join"
# How the log names what an answer holds.
NAMES = {"cases": "case-count", "skipped": "skipped-steps"}
FIGURES_OF = {TEST: "test-dice", FIGURES: "data-figures"}
log = logging.getLogger("fedcross.federation")


class SupersededError(Exception):
    """The server has begun another task; this one ends."""


class VisitRecord:
    """Writes the entries of one job.

    Parameters
    ----------
    kit
        Folder of the hospital's kit.
    run
        Identifier of the run.
    """

    def __init__(self, kit: Path, run: str) -> None:
        self._kit, self._run = kit, run

    def refuse(self, reason: str) -> None:
        """Record that the hospital does not take part; `reason` is one word.

        A refusal that is equal to the one before is not written again.
        """
        with suppress(OutputError):  # `_write` tells that the file cannot be used
            for last in deque(read_entries(self._kit), maxlen=1):
                if (last.run, last.outcome, last.reason) == (self._run, REFUSED, reason):
                    return
        self._write(Entry(datetime.now(UTC), self._run, JOIN, REFUSED, reason))

    @contextmanager
    def task(self, task: str, round_index: int) -> Iterator["TaskRecord"]:
        """Record a task at the end of the block, whether it succeeds or not."""
        record, started = TaskRecord(task), time.monotonic()
        outcome, reason = FAILED, ""
        try:
            yield record
            outcome = DONE
        except SupersededError:
            outcome = GIVEN_UP
            raise
        except ApprovalError as error:
            outcome, reason = REFUSED, error.reason
            raise
        except BaseException as error:
            reason = type(error).__name__  # a message could name a case
            raise
        finally:
            number = round_index + 1 if task == TRAIN else None
            seconds = round(time.monotonic() - started, 1)
            entry = Entry(
                datetime.now(UTC), self._run, task, outcome, reason, number, seconds=seconds
            )
            self._write(replace(entry, **record.figures))

    def _write(self, entry: Entry) -> None:
        """Append the entry; a full disk ends no training, but is an error in FLARE's log."""
        log.info("%s", describe(entry))
        try:
            append_entry(self._kit, entry)
        except OutputError as error:
            log.error("%s", error)


class TaskRecord:
    """The result of a task, for its entry; empty until the task is done.

    Parameters
    ----------
    task
        The task.
    """

    def __init__(self, task: str) -> None:
        self._names = {**NAMES, "figures": FIGURES_OF.get(task, "figures")}
        self.figures: dict[str, Any] = {}

    def store(self, answer: Answer, found: Mapping[str, float | None]) -> None:
        """Store what an answer sends, and what the task found at the site (cases, loss, dice)."""
        others = {
            name: value
            for name, value in answer.items()
            if name not in ("member", "shared") and value is not None
        }
        member = answer.get("member") or {}
        self.figures = {
            **found,
            "left": tuple(
                self._names.get(name, name) for name in (*(["member"] if member else []), *others)
            ),
            "bytes_out": sum(tensor.nbytes for tensor in member.values())
            + sum(len(json.dumps(value)) for value in others.values()),
        }


def describe(entry: Entry) -> str:
    """One sentence about an entry, for the terminal of the hospital."""
    if entry.task == JOIN:
        return f"This hospital refuses the run {entry.run}: {entry.reason}."
    where = "" if entry.round is None else f" of round {entry.round}"
    if entry.outcome != DONE:
        return f"The task {entry.task}{where} ended: {entry.reason or entry.outcome}."
    sent = ", ".join(entry.left) or "nothing"
    cases = "" if entry.cases is None else f" cases {entry.cases},"
    loss = "" if entry.loss is None else f" loss {entry.loss:.4g},"
    return f"Task {entry.task}{where}:{cases} {entry.seconds:g} s,{loss} sent: {sent}."
