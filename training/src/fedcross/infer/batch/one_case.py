"""Segment one of many cases, unless its result is there already."""

from dataclasses import dataclass, fields
from pathlib import Path

from fedcross.contract.events import ErrorEvent
from fedcross.contract.exits import explain
from fedcross.contract.request import RequestOptions, SegmentRequest
from fedcross.contract.table import Row, table_rows
from fedcross.errors import FedCrossError
from fedcross.infer.batch.case import Case
from fedcross.infer.batch.done import case_key, read_done, record_done
from fedcross.infer.batch.label_map import ENDING, write_label_map
from fedcross.infer.batch.worker import Worker
from fedcross.infer.results.structure_figures import structure_figures
from fedcross.infer.results.summary import Summary
from fedcross.model.bundle import Bundle


@dataclass(frozen=True)
class Batch:
    """What to do with every case.

    Attributes
    ----------
    bundle
        The opened bundle.
    out
        Folder of all results.
    options
        How to segment.
    is_flat
        Whether to write the label maps into `out`, too.
    """

    bundle: Bundle
    out: Path
    options: RequestOptions
    is_flat: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a case ended.

    Attributes
    ----------
    case
        The case.
    summary
        Its summary; None if it failed.
    error
        Why it failed; None if it did not.
    is_kept
        Whether the result was there already.
    """

    case: Case
    summary: Summary | None = None
    error: ErrorEvent | None = None
    is_kept: bool = False

    def rows(self) -> list[Row]:
        """Return its rows of the table."""
        if self.summary is None:
            return [Row(self.case.name, error=str(self.error))]
        found = self.summary.familiarity
        return table_rows(
            self.case.name,
            [structure_figures(each) for each in self.summary.structures],
            self.summary.warnings,
            is_unusual=None if found is None else found.is_unusual,
            reasons=() if found is None else found.reasons,
        )


def segment_case(case: Case, batch: Batch, worker: Worker) -> Outcome:
    """Segment a case, or keep its finished result; an error that a person can put right is returned."""
    folder = batch.out / case.name
    try:
        if case.problem is not None:
            raise case.problem
        key = case_key(case, batch.bundle.sha256, batch.options)
        summary = read_done(folder, key)
        is_kept = summary is not None
        if summary is None:
            error = worker.segment(_request(case, folder, batch))
            if error is not None:
                return Outcome(case, error=error)
            summary = record_done(folder, key)
        if batch.is_flat:
            write_label_map(folder, batch.out / f"{case.name}{ENDING}")
    except FedCrossError as error:
        return Outcome(case, error=explain(error)[1])
    return Outcome(case, summary, is_kept=is_kept)


def _request(case: Case, folder: Path, batch: Batch) -> SegmentRequest:
    first, *further = case.images
    options = {each.name: getattr(batch.options, each.name) for each in fields(RequestOptions)}
    series = () if case.series is None else (case.series,)
    return SegmentRequest(
        batch.bundle.path, first, folder, further=tuple(further), series=series, **options
    )
