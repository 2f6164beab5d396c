"""Many volumes: ``fedcross segment --images`` and ``fedcross segment --series-root``."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from fedcross.commands.console import ConsoleReporter
from fedcross.commands.options import tell_what_is_kept
from fedcross.commands.result import LONGEST_NAME, aligned, structure_cells
from fedcross.contract.exits import BAD_INPUT, DONE
from fedcross.contract.plain_text import counted, plain_text
from fedcross.contract.request import BACKENDS, PRECISION_CHOICES, RequestOptions, flag
from fedcross.contract.table import FIGURES
from fedcross.errors import ConfigError
from fedcross.runtime.reporting import Reporter
from fedcross.runtime.signals import interrupt_on_terminate

if TYPE_CHECKING:
    from fedcross.infer.batch.case import Case
    from fedcross.infer.batch.one_case import Outcome
    from fedcross.model.bundle import Bundle

SHOWN = 200
"""Rows of the table that are printed; the file holds all of them."""


@dataclass(frozen=True)
class ManyVolumes:
    """What to segment, and how.

    Attributes
    ----------
    bundle, out
        The bundle, and the folder of all results.
    images
        Folder or list of images; None with `series_root`.
    series_root
        Folder of DICOM series; None with `images`.
    options
        How to segment.
    workers
        Number of processes.
    is_flat
        Whether to write the label maps into `out`, too.
    """

    bundle: Path
    out: Path
    images: Path | None
    series_root: Path | None
    options: RequestOptions
    workers: int
    is_flat: bool


def segment_many(wanted: ManyVolumes) -> int:
    """Segment many volumes, print the table and the failures, and return the exit code."""
    from fedcross.infer.batch.memory import check_workers
    from fedcross.infer.batch.one_case import Batch
    from fedcross.infer.batch.run import run_batch
    from fedcross.model.bundle import open_bundle

    _check_names(wanted.options)
    console = Console(highlight=False, soft_wrap=True)
    with (
        open_bundle(wanted.bundle) as bundle,
        interrupt_on_terminate(),
        ConsoleReporter(console) as reporter,
    ):
        cases = _find_cases(wanted, bundle, reporter)
        check_workers(cases, bundle, wanted.options, wanted.workers)
        batch = Batch(bundle, wanted.out, wanted.options, wanted.is_flat)
        with tell_what_is_kept("Finished cases"):
            outcomes = run_batch(cases, batch, reporter, wanted.workers)
    for line in _table(outcomes, wanted.out / FIGURES):
        console.print(line, markup=False)
    for line in _failures(outcomes):
        print(line, file=sys.stderr)
    return BAD_INPUT if any(each.error for each in outcomes) else DONE


def _check_names(options: RequestOptions) -> None:
    """Refuse an unknown name here: otherwise every case would fail with it."""
    for name, value, choices in (
        ("backend", options.backend, BACKENDS),
        ("precision", options.precision, PRECISION_CHOICES),
    ):
        if value not in choices:
            raise ConfigError(f"{flag(name)} must be one of {', '.join(choices)}, got {value!r}.")


def _find_cases(wanted: ManyVolumes, bundle: "Bundle", reporter: Reporter) -> "list[Case]":
    from fedcross.infer.batch.find_files import find_image_cases

    steps = bundle.manifest.preprocessing
    if wanted.images is not None:
        return find_image_cases(wanted.images, steps, wanted.out)
    from fedcross.infer.batch.find_series import find_series_cases

    if steps.channel_count > 1:
        raise ConfigError(
            f"The bundle {bundle.manifest.name} takes {steps.channel_count} images a case, but "
            "--series-root takes one series for a case.",
            "Give --images a list with a column for each channel.",
        )
    assert wanted.series_root is not None
    reporter.stage("find", "Reading the headers of the DICOM files")
    return find_series_cases(wanted.series_root, steps.modality, reporter)


def _table(outcomes: "Sequence[Outcome]", figures: Path) -> list[str]:
    """Return a line for each structure of each case, how many cases there were, and their file."""
    from fedcross.infer.results.structure_figures import structure_figures

    rows = [
        (
            plain_text(each.case.name, LONGEST_NAME),
            *structure_cells(structure_figures(structure), each.summary.bundle.members),
        )
        for each in outcomes
        if each.summary is not None
        for structure in each.summary.structures
    ]
    lines = aligned(rows[:SHOWN])
    if len(rows) > SHOWN:
        lines.append(f"{len(rows) - SHOWN} more rows are in {figures}.")
    failed = sum(each.error is not None for each in outcomes)
    kept = sum(each.is_kept for each in outcomes)
    counts = [f"{len(outcomes) - failed - kept} segmented"]
    counts += [f"{kept} kept from before"] if kept else []
    counts += [f"{failed} failed"] if failed else []
    return [
        *lines,
        f"{counted(len(outcomes), 'case')}: {', '.join(counts)}. All figures: {figures}",
    ]


def _failures(outcomes: "Sequence[Outcome]") -> list[str]:

    failed = [each for each in outcomes if each.error is not None]
    if not failed:
        return []
    return [
        f"{len(failed)} of {counted(len(outcomes), 'case')} failed:",
        *(f"  {plain_text(each.case.name, LONGEST_NAME)}: {each.error}" for each in failed),
    ]
