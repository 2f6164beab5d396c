"""``approvals.json`` in a hospital's kit: which configurations were asked for, approved and rejected.

The file stays at the hospital, and only its owner can read it. A configuration is known by its SHA-256;
the words about it are those of `approval_words`. Without a decision a configuration is not approved. The
file keeps the newest 50 configurations that wait and the newest 200 that were decided; one that is
dropped waits again when it is asked for.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fedcross.errors import ConfigError, FedCrossError, OutputError
from fedcross.federate.kits.site_settings import SiteSettings
from fedcross.federate.kits.visit_log import TIME_FORMAT
from fedcross.runtime.files.atomic import atomic_file
from fedcross.runtime.files.lock import exclusive

APPROVALS = "approvals.json"
MAX_BYTES = 20_000_000  # the longest words of all configurations in characters of four bytes
MAX_WAITING, MAX_DECIDED, MAX_DECISIONS = 50, 200, 20
SHORTEST_PREFIX = 12
PENDING, REJECTED = "approval-pending", "approval-rejected"

Purpose = Literal["training", "plan", "calibration", "profile"]
Decision = Literal["approved", "rejected"]
MAX_LINES, LONGEST_LINE = 15, 900
Line = Annotated[str, Field(max_length=LONGEST_LINE)]


class ApprovalError(FedCrossError):
    """The configuration is not approved by this hospital.

    Parameters
    ----------
    reason
        `PENDING` or `REJECTED`.
    """

    def __init__(self, reason: str) -> None:
        verb = "rejected" if reason == REJECTED else "not approved"
        super().__init__(f"This hospital has {verb} the configuration.")
        self.reason = reason


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Decided(_Record):
    """A decision of the hospital, and when it was made, in UTC."""

    time: datetime
    decision: Decision


class Asked(_Record):
    """A configuration that was asked for.

    Attributes
    ----------
    sha256
        Its SHA-256.
    first, last
        When it was asked for at first and at last, in UTC.
    purposes
        What for.
    words
        What it means for this hospital, in lines; see `approval_words.describe_request`.
    decisions
        The hospital's decisions, oldest first; the last one counts.
    """

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    first: datetime
    last: datetime
    purposes: Annotated[tuple[Purpose, ...], Field(max_length=4)]
    words: Annotated[tuple[Line, ...], Field(max_length=MAX_LINES)]
    decisions: Annotated[tuple[Decided, ...], Field(max_length=MAX_DECISIONS)] = ()

    @property
    def state(self) -> Decision | None:
        """The last decision; None if there is none."""
        return self.decisions[-1].decision if self.decisions else None

    def lines(self) -> Iterator[str]:
        """Yield lines: the SHA-256, what it was asked for, the words, and the decisions."""
        yield self.sha256
        yield (
            f"Asked for: {', '.join(self.purposes)}; first {self.first.strftime(TIME_FORMAT)}, "
            f"last {self.last.strftime(TIME_FORMAT)}"
        )
        yield from self.words
        for each in self.decisions:
            yield f"{each.decision.capitalize()}: {each.time.strftime(TIME_FORMAT)}"


class _File(_Record):
    configurations: tuple[Asked, ...] = ()


def require_approval(kit: Path, settings: SiteSettings, sha256: str) -> None:
    """Check that the hospital approved a configuration, if its settings require this.

    The configuration that the settings name counts as approved.

    Raises
    ------
    ApprovalError
        If it has not, or has rejected it.
    OutputError
        If the record cannot be read.
    """
    if not settings.requires_approval or settings.configuration == sha256:
        return
    states = {each.sha256: each.state for each in read_approvals(kit)}
    state = states.get(sha256)
    if state != "approved":
        raise ApprovalError(REJECTED if state == "rejected" else PENDING)


def record_request(
    kit: Path, sha256: str, purpose: Purpose, words: Sequence[str], now: datetime
) -> None:
    """Record that a configuration was asked for; its words are replaced until it is decided.

    Parameters
    ----------
    kit
        Folder of the hospital's kit.
    sha256
        SHA-256 of the configuration.
    purpose
        What it is asked for.
    words
        What it means for this hospital, at most 15 lines of at most 900 characters.
    now
        The current time, with a time zone.

    Raises
    ------
    OutputError
        If the record cannot be read or written.
    """
    with _change(kit) as records:
        before = records.get(sha256)
        if before is None:
            asked = Asked(
                sha256=sha256, first=now, last=now, purposes=(purpose,), words=tuple(words)
            )
        else:
            kept = before.words if before.decisions else tuple(words)
            purposes = tuple(dict.fromkeys((*before.purposes, purpose)))
            asked = before.model_copy(update={"last": now, "purposes": purposes, "words": kept})
        records[sha256] = asked


def decide(kit: Path, prefix: str, decision: Decision, now: datetime | None = None) -> Asked:
    """Record a decision about a configuration; return its record.

    Parameters
    ----------
    kit
        Folder of the hospital's kit.
    prefix
        SHA-256 of the configuration, or its beginning of 12 characters or more.
    decision
        The decision.
    now
        Time of the decision, with a time zone; None for the current one.

    Raises
    ------
    ConfigError
        If no configuration that was asked for, or more than one, begins so.
    OutputError
        If the record cannot be read or written.
    """
    if len(prefix) < SHORTEST_PREFIX:
        raise ConfigError(
            f"The SHA-256 needs at least its first {SHORTEST_PREFIX} characters, got {len(prefix)}."
        )
    with _change(kit) as records:
        found = [sha256 for sha256 in records if sha256.startswith(prefix.lower())]
        if len(found) != 1:
            number = "No configuration" if not found else "More than one configuration"
            raise ConfigError(
                f"{number} that was asked for begins with this SHA-256.",
                "fedcross site approvals KIT lists them.",
            )
        before = records[found[0]]
        made = Decided(time=now or datetime.now(UTC), decision=decision)
        decisions = (*before.decisions, made)[-MAX_DECISIONS:]
        records[found[0]] = before.model_copy(update={"decisions": decisions})
        return records[found[0]]


def read_approvals(kit: Path) -> tuple[Asked, ...]:
    """The configurations that were asked for, in the order of their last request; empty if none was.

    Raises
    ------
    OutputError
        If the file exists and is damaged, too large, or cannot be read.
    """
    path = kit / APPROVALS
    try:
        if path.stat().st_size > MAX_BYTES:
            raise OutputError(f"{APPROVALS} is larger than {MAX_BYTES} bytes.")
        return _File.model_validate_json(path.read_bytes()).configurations
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise OutputError(f"{APPROVALS} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        raise OutputError(
            f"{APPROVALS} is damaged.", "Rename it; every configuration then waits again."
        ) from error


@contextmanager
def _change(kit: Path) -> Iterator[dict[str, Asked]]:
    """Yield the records by SHA-256; after the block they are written. One process at a time."""
    try:
        with exclusive(kit):
            records = {each.sha256: each for each in read_approvals(kit)}
            yield records
            text = _File(configurations=_bounded(records.values())).model_dump_json(indent=2)
            with atomic_file(kit / APPROVALS, durable=True) as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(f"{text}\n".encode())
    except OSError as error:
        raise OutputError(f"{APPROVALS} cannot be written: {error.strerror}.") from error


def _bounded(records: Iterable[Asked]) -> tuple[Asked, ...]:
    """The newest records of each kind, in the order of their last request."""
    ordered = sorted(records, key=lambda each: each.last)
    waiting = [each for each in ordered if each.state is None][-MAX_WAITING:]
    decided = sorted(
        (each for each in ordered if each.decisions), key=lambda each: each.decisions[-1].time
    )[-MAX_DECIDED:]
    return tuple(sorted((*waiting, *decided), key=lambda each: each.last))
