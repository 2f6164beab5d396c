"""Run several methods with several seeds on the same splits and budget, and write the comparison.

::

    comparison.csv       one row per method, seed and site
    comparison-cases.csv one row per method, seed, test case and structure
    comparison.html      tables and figures, one file
    runs/<method>/seed-<n>/   a run folder each
    example/             the label map of each method on the test case of the page
"""

import csv
import importlib.util
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path

from fedcross.contract.plain_text import csv_cell
from fedcross.errors import CheckpointError, ConfigError
from fedcross.federate.local.engine import FederationData, read_data, run_local
from fedcross.runtime.files.atomic import write_atomically
from fedcross.runtime.plugins import allow_plugins
from fedcross.runtime.reporting import NullReporter, Reporter
from fedcross.study.compare.example import Example, choose_case, draw_example
from fedcross.study.compare.kept_labels import KeptLabels
from fedcross.study.compare.ranking import describe_ranking
from fedcross.study.compare.results import (
    METRIC_NAMES,
    RunFigures,
    choose_reference,
    mean_of,
    read_run,
)
from fedcross.study.compare.variants import (
    DEFAULT_METHODS,
    Variant,
    list_seeds,
    parse_methods,
    with_seed,
)
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.site import ExplicitSplit
from fedcross.training.run.folder import TEST, RunFolder
from fedcross.training.run.opening import open_run

TABLE, CASES, PAGE = "comparison.csv", "comparison-cases.csv", "comparison.html"
RUNS, EXAMPLE = "runs", "example"


def compare(
    config: TrainingConfig,
    out: Path,
    *,
    methods: str = DEFAULT_METHODS,
    seeds: int = 3,
    device: str = "auto",
    reporter: Reporter | None = None,
) -> Path:
    """Compare methods.

    The configuration's seed decides the splits, so that all runs have the same. The seed of each run
    decides everything else; the seeds count up from the configuration's. Finished runs in `out` are
    kept and an interrupted run is resumed. A second call with more methods or seeds adds to them.

    Parameters
    ----------
    config
        Configuration of the runs. The rounds and local epochs of its method are the budget; the kind
        of its method is not used.
    out
        Folder of the comparison; created if it does not exist.
    methods
        Methods with commas between them, see `variants.parse_methods`.
    seeds
        Number of runs of each method, at least 1.
    device
        Device of the training, see `fedcross.federate.local.engine.run_local`.
    reporter
        Receives stages, progress and log lines; None for no reports.

    Returns
    -------
    Path
        File of the page.

    Raises
    ------
    ConfigError, DataError, CheckpointError, DeviceError, OutputError
        If the configuration, the data, a run or a file cannot be used; finished runs are kept.
    """
    reporter = reporter or NullReporter()
    allow_plugins(*config.plugins)
    check_matplotlib()
    numbers = list_seeds(config, seeds)
    parse_methods(methods, config)  # raises before any case is read
    data = read_data(config, reporter)
    variants = parse_methods(methods, _fix_splits(config, data))
    runs: dict[str, list[RunFigures]] = {}
    for index, variant in enumerate(variants):
        for place, seed in enumerate(numbers):
            number = index * len(numbers) + place + 1
            reporter.log(f"{variant.label}, seed {seed}: run {number} of {len(variants) * seeds}")
            path = out / RUNS / variant.slug / f"seed-{seed}"
            _run(with_seed(variant, seed), path, data, device, reporter)
            runs.setdefault(variant.label, []).append(
                read_run(RunFolder(path), variant.label, seed)
            )
    page = _write(config, out, variants, runs, data, reporter)
    for line in describe_ranking(variants, runs, out / RUNS):
        reporter.log(line)
    return page


def check_matplotlib() -> None:
    """Raise `ConfigError` if matplotlib is missing, before hours of training."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError(
            "The figures need matplotlib, which is not installed.",
            "Install it: pip install 'fedcross[train]'",
        )


def _fix_splits(config: TrainingConfig, data: FederationData) -> TrainingConfig:
    """Return the configuration with its splits as lists of cases, which no seed changes."""
    sites = []
    for site, cases in zip(config.sites, data.cases, strict=True):
        names = {part: names for part, names in cases.names().items() if part != "unused"}
        sites.append(site.model_copy(update={"split": ExplicitSplit.model_validate(names)}))
    return config.model_copy(update={"sites": tuple(sites)})


def _run(
    config: TrainingConfig, path: Path, data: FederationData, device: str, reporter: Reporter
) -> None:
    """Start a run, or resume it if it exists and is not finished."""
    run = RunFolder(path)
    if not run.exists:
        run_local(config, path, device=device, reporter=reporter, data=data)
        return
    try:
        if not (path / TEST).is_file():
            run_local(
                config,
                path,
                resume=True,
                device=device,
                reporter=reporter,
                data=data,
                extend=False,
            )
            return
        with open_run(path, config, resume=True):  # raises if the configuration differs
            pass
    except CheckpointError as error:
        raise CheckpointError(f"{path.parent.name}: {error.message}", error.hint) from error


def _write(
    config: TrainingConfig,
    out: Path,
    variants: Sequence[Variant],
    runs: dict[str, list[RunFigures]],
    data: FederationData,
    reporter: Reporter,
) -> Path:
    from fedcross.study.compare.page import comparison_page  # imports matplotlib

    write_atomically(out / TABLE, to_csv(_site_rows(runs)), durable=True)
    write_atomically(out / CASES, to_csv(_case_rows(runs)), durable=True)
    pooled_bytes = sum(
        volume.image.nbytes + volume.label.nbytes for site in data.sites for volume in site.train
    )
    moved = {v.label: pooled_bytes for v in variants if v.config.method.pools_cases}
    method = config.method
    budget = (
        f"Every method trains on every site's cases in {method.rounds} x {method.local_epochs} "
        "epochs altogether (rounds x local epochs)."
    )
    example = _make_example(out, variants, runs, data, reporter)
    text = comparison_page(config.name, runs, moved, budget, example)
    write_atomically(out / PAGE, text.encode("utf-8"), durable=True)
    return out / PAGE


def _make_example(
    out: Path,
    variants: Sequence[Variant],
    runs: Mapping[str, Sequence[RunFigures]],
    data: FederationData,
    reporter: Reporter,
) -> Example | None:
    """Segment one test case with every method; None without test cases."""
    reference = choose_reference(runs)
    chosen = choose_case(runs[reference], reference)
    if chosen is None:
        return None
    site = next(site for site in data.sites if site.name == chosen[0])
    case = next(case for case in site.test if case.name == chosen[1])
    seed = runs[reference][0].seed
    folders = {v.label: RunFolder(out / RUNS / v.slug / f"seed-{seed}") for v in variants}
    figures = {label: runs[label][0] for label in folders}
    return draw_example(case, site, folders, figures, KeptLabels(out / EXAMPLE), reporter.log)


def _site_rows(runs: dict[str, list[RunFigures]]) -> Iterator[Sequence[object]]:
    yield ("method", "seed", "site", "cases", *METRIC_NAMES)
    for seeds in runs.values():
        for run in seeds:
            for label, scores in run.scores.items():
                for site in dict.fromkeys(score.site for score in scores):
                    cases = {score.case for score in scores if score.site == site}
                    means = [mean_of(scores, metric, site) for metric in METRIC_NAMES]
                    yield (label, run.seed, site, len(cases), *means)


def _case_rows(runs: dict[str, list[RunFigures]]) -> Iterator[Sequence[object]]:
    yield ("method", "seed", "site", "case", "structure", *METRIC_NAMES)
    for seeds in runs.values():
        for run in seeds:
            for label, scores in run.scores.items():
                yield from ((label, run.seed, *astuple(score)) for score in scores)


def to_csv(rows: Iterable[Sequence[object]]) -> bytes:
    """Return rows as CSV in UTF-8, with six digits for numbers; no text begins a formula."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(
        [f"{value:.6g}" if isinstance(value, float) else csv_cell(value) for value in row]
        for row in rows
    )
    return text.getvalue().encode("utf-8")
