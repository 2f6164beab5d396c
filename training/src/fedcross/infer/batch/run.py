"""Segment many cases, each into its own folder, with one or several processes.

::

    OUT/figures.csv         one row for each structure of each case, or the error of a case
    OUT/CASE/               the files of a result, and case.json, from what it was made
    OUT/CASE.nii.gz         the label map, if it is requested
"""

import csv
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from fedcross.contract.plain_text import counted, csv_cell
from fedcross.contract.table import FIGURES, table_cells
from fedcross.infer.batch.case import Case
from fedcross.infer.batch.one_case import Batch, Outcome, segment_case
from fedcross.infer.batch.pool import Pool
from fedcross.infer.batch.worker import Worker, share_processors
from fedcross.runtime.files.atomic import atomic_file
from fedcross.runtime.files.folders import make_folder
from fedcross.runtime.files.lock import folder_lock
from fedcross.runtime.reporting import Reporter

STAGE = "batch"
LOCK = "batch.lock"


def run_batch(
    cases: Sequence[Case], batch: Batch, reporter: Reporter, workers: int = 1
) -> list[Outcome]:
    """Segment all cases; one that fails does not stop the others.

    A finished result is kept if bundle, images and options are the same. After an interruption, what is
    finished stays, and the next call goes on.

    Parameters
    ----------
    cases
        At least one; their names are unique.
    batch
        What to do with each.
    reporter
        Receives the number of cases that are done, every failure, and the warnings about the others.
    workers
        Number of processes, 1 or more.

    Returns
    -------
    list of Outcome
        In the order of the cases.

    Raises
    ------
    OutputError, CheckpointError
        If the folder or the table cannot be written, or another process works in the folder.
    """
    make_folder(batch.out)
    reporter.stage(
        STAGE, f"Segmenting {counted(len(cases), 'case')} with {batch.bundle.manifest.name}"
    )
    with ExitStack() as stack:
        stack.enter_context(folder_lock(batch.out / LOCK, kind="folder"))
        table = stack.enter_context(_Table(batch.out / FIGURES))
        processes = [Worker(share) for share in share_processors(min(workers, len(cases)))]
        pool = Pool(cases, processes, lambda case, worker: segment_case(case, batch, worker))
        for index, outcome in stack.enter_context(pool):
            table.add(index, outcome)
            _report(outcome, reporter)
            reporter.progress(len(table.outcomes), len(cases), STAGE)
    return [outcome for _, outcome in sorted(table.outcomes.items())]


def _report(outcome: Outcome, reporter: Reporter) -> None:
    """Report why a case failed, or what a person should know about it."""
    name = outcome.case.name
    if outcome.summary is None:
        reporter.log(f"{name} failed: {outcome.error}")
        return
    for sentence in outcome.summary.warnings:
        reporter.warning(f"{name}: {sentence}")


class _Table(AbstractContextManager["_Table"]):
    """The table of the cases that are done; it is also written at the end, and after an interruption.

    Attributes
    ----------
    outcomes
        Each outcome by the number of its case.
    """

    def __init__(self, path: Path) -> None:
        self.outcomes: dict[int, Outcome] = {}
        self._path = path

    def __exit__(self, *_: object) -> None:
        if self.outcomes:
            self._write()

    def add(self, index: int, outcome: Outcome) -> None:
        """Add the outcome of a case; a computed one is written at once."""
        self.outcomes[index] = outcome
        if not outcome.is_kept:
            self._write()

    def _write(self) -> None:
        rows = [row for _, each in sorted(self.outcomes.items()) for row in each.rows()]
        with atomic_file(self._path, "w", newline="") as file:
            csv.writer(file).writerows(
                [csv_cell(cell) for cell in row] for row in table_cells(rows)
            )
