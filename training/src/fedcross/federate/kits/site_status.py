"""What a hospital sees of its own part in a federation; only files of its kit are read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from fedcross.errors import FedCrossError
from fedcross.federate.kits.approvals import read_approvals
from fedcross.federate.kits.kit_checks import check_certificate
from fedcross.federate.kits.site_settings import load_site_settings
from fedcross.federate.kits.startup_kit import Kit
from fedcross.federate.kits.visit_log import DONE, REFUSED, TIME_FORMAT, Entry, read_entries
from fedcross.runtime.files.lock import is_locked

KIT_LOCK = "kit.lock"  # in the folder of a kit, held by the process that runs it
SHOWN_RUNS = 10
HEADER = f"{'time':<23}  {'task':<10} {'round':>5} {'cases':>5} {'s':>8} {'MB out':>8}  {'loss':>8}"


@dataclass(frozen=True)
class RunSummary:
    """All entries of one run.

    Attributes
    ----------
    run
        Identifier of the run.
    entries
        Its entries, oldest first; at least one.
    """

    run: str
    entries: Sequence[Entry]

    def line(self) -> str:
        """One sentence or two about the run."""
        first, last = self.entries[0], self.entries[-1]
        done = [entry for entry in self.entries if entry.outcome == DONE]
        visits = [entry for entry in done if entry.task == "train"]
        lost = sum(entry.outcome not in (DONE, REFUSED) for entry in self.entries)
        refused = sum(entry.outcome == REFUSED for entry in self.entries)
        megabytes = sum(entry.bytes_out or 0 for entry in done) / 1e6
        losses = [entry.loss for entry in visits if entry.loss is not None]
        parts = [
            f"{first.time:%Y-%m-%d %H:%M} to {last.time:%Y-%m-%d %H:%M} UTC",
            f"{len(visits)} visits",
            f"{megabytes:.1f} MB sent",
            *([f"loss {losses[0]:.4g} at first, {losses[-1]:.4g} at last"] if losses else []),
            *([f"tasks not done: {lost}"] if lost else []),
            *([f"refusals: {refused}, {last_reason(self.entries)}"] if refused else []),
        ]
        return f"{self.run}: {', '.join(parts)}."


def describe_site(kit: Kit, now: datetime, visits: int) -> Iterator[str]:
    """Yield lines: the kit, whether it runs, its settings, its runs, and its last visits.

    Parameters
    ----------
    kit
        The hospital's kit.
    now
        The current time, with a time zone.
    visits
        Number of entries of ``visits.log`` to show.

    Raises
    ------
    OutputError
        If a file of the kit cannot be read.
    """
    yield f"{kit.name} in the federation {kit.federation}, server {kit.host}:{kit.port}"
    yield (
        "It runs on this machine."
        if is_locked(kit.path / KIT_LOCK)
        else "It does not run on this machine."
    )
    yield check_certificate(kit, now).message
    yield from _describe_settings(kit)
    entries = list(read_entries(kit.path))
    if not entries:
        yield "No run has asked this hospital yet."
        return
    yield ""
    yield from _describe_runs(entries)
    yield ""
    yield f"{HEADER}  left this hospital"
    yield from map(_row, entries[-visits:])


def _describe_runs(entries: Sequence[Entry]) -> Iterator[str]:
    runs: dict[str, list[Entry]] = {}
    for entry in entries:
        runs.setdefault(entry.run, []).append(entry)
    earlier = len(runs) - SHOWN_RUNS
    yield "Runs:" if earlier <= 0 else f"The last {SHOWN_RUNS} runs; the log has {earlier} more:"
    for run in list(runs)[-SHOWN_RUNS:]:
        yield f"  {RunSummary(run, runs[run]).line()}"


def last_reason(entries: Sequence[Entry]) -> str:
    """The reason of the last refusal, as words."""
    reasons = [entry.reason for entry in entries if entry.outcome == REFUSED]
    return reasons[-1].replace("-", " ")


def _describe_settings(kit: Kit) -> Iterator[str]:
    try:
        settings = load_site_settings(kit.path)
    except FedCrossError as error:
        yield str(error)
        return
    yield f"Figures that it shares: {', '.join(settings.share) or 'none'}. Members are always sent."
    if settings.requires_approval:
        yield "Every configuration needs this hospital's approval."
        waiting = sum(each.state is None for each in read_approvals(kit.path))
        if waiting:
            yield f"Configurations that wait for it: {waiting}; see fedcross site approvals."
    elif settings.configuration is None:
        yield "It accepts every configuration."
    if settings.configuration is not None:
        yield f"It accepts only the configuration {settings.configuration}."


def _row(entry: Entry) -> str:
    def shown(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    sent = None if entry.bytes_out is None else entry.bytes_out / 1e6
    columns = (
        f"{entry.time.strftime(TIME_FORMAT):<23} ",
        f"{entry.task:<10}",
        f"{shown(entry.round, 'd'):>5}",
        f"{shown(entry.cases, 'd'):>5}",
        f"{shown(entry.seconds, '.1f'):>8}",
        f"{shown(sent, '.2f'):>8} ",
        f"{shown(entry.loss, '.4g'):>8} ",
    )
    left = ", ".join(entry.left) or "nothing"
    if entry.outcome != DONE:
        left += f" ({entry.outcome}{': ' if entry.reason else ''}{entry.reason})"
    return " ".join((*columns, left))
