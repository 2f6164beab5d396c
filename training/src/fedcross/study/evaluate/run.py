"""Evaluate a bundle on labelled cases, and write tables and a page.

::

    evaluation.html   tables and figures, one file
    evaluation.json   all figures; written last, so that a folder with it is complete
    structures.csv    one row per case, structure and predictor
    voxels.csv        one row per case, voxels (near the structures, or all) and score
    review.csv        one row per case and number of corrected places
    cases/            a file per finished case; a second start reuses them
"""

import importlib.util
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from fedcross.calibration.cases_at_once import check_cases_at_once
from fedcross.calibration.labelled_cases import LabelledCase, doubt_training_cases
from fedcross.calibration.segmented_cases import SegmentedCase, segment_case
from fedcross.contract.measures import MEASURES
from fedcross.contract.plain_text import counted
from fedcross.errors import ConfigError
from fedcross.infer.batch.functions import call_for_each
from fedcross.infer.models import Models
from fedcross.infer.scratch import write_errors
from fedcross.model.bundle import Bundle
from fedcross.model.manifest import Manifest
from fedcross.runtime.files.folders import new_folder
from fedcross.runtime.files.publish import publish_files
from fedcross.runtime.reporting import NullReporter, Reporter
from fedcross.study.evaluate.aggregate import summarise
from fedcross.study.evaluate.case import measure_case
from fedcross.study.evaluate.checkpoint import CASES, Checkpoints, case_key
from fedcross.study.evaluate.evaluation import Evaluation
from fedcross.study.evaluate.figures import CaseFigures
from fedcross.study.evaluate.first_members import FirstMembers
from fedcross.study.evaluate.request import EvaluationOptions
from fedcross.study.evaluate.tables import review_table, structure_table, voxel_table

PAGE, RECORD = "evaluation.html", "evaluation.json"
STRUCTURES, VOXELS, REVIEW = "structures.csv", "voxels.csv", "review.csv"
STAGE = "evaluate"
NEEDED = {"matplotlib": "matplotlib", "sklearn": "scikit-learn"}
"""Packages of the extra ``train`` that an evaluation imports, by the name of their module."""


def run_evaluation(
    bundle: Bundle,
    find_cases: Callable[[Manifest], Sequence[LabelledCase]],
    out: Path,
    *,
    options: EvaluationOptions | None = None,
    workers: int = 1,
    reporter: Reporter | None = None,
) -> Evaluation:
    """Evaluate a bundle.

    Parameters
    ----------
    bundle
        The opened bundle.
    find_cases
        Returns the labelled cases for the manifest of the bundle, at least one.
    out
        Folder of the evaluation; made if it does not exist. Finished cases in it are reused if bundle,
        options and files of the case are the same.
    options
        How to evaluate; None is the default.
    workers
        Number of cases at the same time, each in a process of its own; the figures do not depend on it.
    reporter
        Receives the number of finished cases; None reports nothing.

    Returns
    -------
    Evaluation
        All figures; the files in `out` hold the same.

    Raises
    ------
    ConfigError
        If a package is missing.
    FedCrossError
        If a case, the bundle, the device or the folder cannot be used, or the memory does not suffice
        for so many workers. Finished cases are kept.
    """
    options, reporter = options or EvaluationOptions(), reporter or NullReporter()
    check_packages()
    cases = find_cases(bundle.manifest)
    check_cases_at_once(cases, bundle, options.segmentation, workers, measures=MEASURES)
    with ExitStack() as stack:
        with write_errors(out):
            stack.enter_context(new_folder(out / CASES))  # raises before a case is segmented
        figures = _evaluate_cases(cases, bundle, out, options, workers, reporter)
        evaluation = summarise(bundle, figures, options)
        _write(evaluation, out)
    return evaluation


def _evaluate_cases(
    cases: Sequence[LabelledCase],
    bundle: Bundle,
    out: Path,
    options: EvaluationOptions,
    workers: int,
    reporter: Reporter,
) -> list[CaseFigures]:
    """Return the figures of all cases in their order, those of finished cases from their files."""
    checkpoints = Checkpoints(out)
    reporter.stage(STAGE, f"Evaluating {bundle.manifest.name} on {counted(len(cases), 'case')}")
    trained = [case.site for case in cases if case.part == "train"]
    if doubt := doubt_training_cases(trained, bundle.manifest):
        reporter.warning(doubt)
    keys = [case_key(case, bundle, options) for case in cases]
    figures = {
        index: found
        for index, key in enumerate(keys)
        if (found := checkpoints.read(key)) is not None
    }
    if figures:
        reporter.log(f"{len(figures)} of {len(cases)} cases were evaluated before.")
        reporter.progress(len(figures), len(cases), STAGE)
    waiting = [index for index in range(len(cases)) if index not in figures]
    compute = partial(evaluate_case, bundle=bundle, options=options)
    outcomes = call_for_each(compute, [cases[index] for index in waiting], workers)
    with closing(outcomes):  # ends the processes, also after an error
        for number, found in outcomes:
            checkpoints.write(keys[waiting[number]], found)
            figures[waiting[number]] = found
            reporter.progress(len(figures), len(cases), STAGE)
    return [found for _, found in sorted(figures.items())]


def evaluate_case(
    case: LabelledCase, models: Models, *, bundle: Bundle, options: EvaluationOptions
) -> CaseFigures:
    """Segment one case and compute its figures.

    Raises
    ------
    FedCrossError
        If the case, the bundle or the device cannot be used.
    """
    first_members = FirstMembers()

    def finish(segmented: SegmentedCase) -> CaseFigures:
        return measure_case(segmented, first_members.label_maps, options.band_mm)

    return segment_case(
        case,
        bundle,
        finish,
        options=options.segmentation,
        models=models,
        observe=lambda truth: first_members,
    )


def check_packages() -> None:
    """Raise `ConfigError` if a package for the figures is missing."""
    for module, package in NEEDED.items():
        if importlib.util.find_spec(module) is None:
            raise ConfigError(
                f"An evaluation needs {package}, which is not installed.",
                "Install it: pip install 'fedcross[train]'",
            )


def _write(evaluation: Evaluation, out: Path) -> None:
    from fedcross.study.evaluate.page import evaluation_page  # imports matplotlib

    files = {
        RECORD: evaluation.model_dump_json(indent=1).encode("utf-8") + b"\n",
        STRUCTURES: structure_table(evaluation),
        VOXELS: voxel_table(evaluation),
        REVIEW: review_table(evaluation),
        PAGE: evaluation_page(evaluation).encode("utf-8"),
    }
    with write_errors(out), publish_files(out, RECORD, files.__contains__) as staging:
        for name, data in files.items():
            (staging / name).write_bytes(data)
