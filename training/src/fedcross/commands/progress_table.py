"""How far a federated run is, in lines for a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fedcross.contract.plain_text import plain_text
from fedcross.federate.supervise.progress import Progress
from fedcross.training.run.participation import count_visits

HEAD = ("site", "state", "visits", "last loss", "last Dice")
LONGEST_REASON = 2000


def describe_progress(progress: Progress) -> Iterator[str]:
    """Yield the state of a run, its last line, and a table with a row for every known site.

    A row has the site's visits that took place and those that were due, the loss of its last visit and
    its last validation Dice, each with the round. A dash stands for what is not known, or not shared.
    """
    yield f"{progress.state} {plain_text(progress.message, LONGEST_REASON)}".rstrip()
    names = _names(progress)
    if not names:
        return
    visits = {each.site: each for each in count_visits(progress.metrics, names)}
    rows = [HEAD]
    for name in names:
        state = "-"
        if progress.takes_part:
            state = {True: "takes part", False: "connected", None: "not connected"}[
                progress.takes_part.get(name)
            ]
        count = visits[name]
        rows.append(
            (
                plain_text(name),
                state,
                f"{count.made} of {count.due}",
                _last_loss(progress.metrics, name),
                _last_dice(progress.metrics, name),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _names(progress: Progress) -> list[str]:
    visited = {str(line["site"]) for line in progress.metrics if "site" in line}
    return sorted(visited | set(progress.takes_part))


def _last_loss(metrics: Sequence[Mapping[str, Any]], site: str) -> str:
    lines = (line for line in reversed(metrics) if line.get("site") == site)
    return next(
        (
            f"{line['loss']:.3f} (round {line['round']})"
            for line in lines
            if _is_number(line, "loss")
        ),
        "-",
    )


def _last_dice(metrics: Sequence[Mapping[str, Any]], site: str) -> str:
    for line in reversed(metrics):
        figures = line.get("validation")
        if isinstance(figures, Mapping) and _is_number(figures, site):
            return f"{figures[site]:.3f} (round {line['round']})"
    return "-"


def _is_number(figures: Mapping[str, Any], key: str) -> bool:
    return isinstance(figures.get(key), int | float)
