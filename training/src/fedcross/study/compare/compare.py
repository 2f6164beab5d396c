"""Run several methods with several seeds on the same splits and budget, and say what came out.

::

    comparison.csv       one row per method, seed and site
    comparison-cases.csv one row per method, seed, test case and structure
    comparison.html      tables and figures, one file
    runs/<method>/seed-<n>/   a run folder each
"""

import csv
import importlib.util
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple
from pathlib import Path

from fedcross.errors import CheckpointError, ConfigError
from fedcross.federate.local.engine import FederationData, read_data, run_local
from fedcross.runtime.files.atomic import write_atomically
from fedcross.runtime.reporting import NullReporter, Reporter
from fedcross.study.compare.results import METRIC_NAMES, RunFigures, mean_of, read_run
from fedcross.study.compare.variants import (
    DEFAULT_METHODS,
    Variant,
    parse_methods,
    seeds_of,
    with_seed,
)
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.site import ExplicitSplit
from fedcross.training.run.folder import TEST, RunFolder
from fedcross.training.run.opening import open_run

TABLE, CASES, PAGE, RUNS = (
    "comparison.csv",
    "comparison-cases.csv",
    "comparison.html",
    "runs",
)


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

    The configuration's own seed decides the splits; the seeds, counted on from it, everything else.
    Finished runs in `out` are kept, an interrupted one goes on, so that calling this again with more
    methods or seeds adds to what is there.

    Parameters
    ----------
    config
        The configuration; its method's kind is not used, its rounds and local epochs are the budget.
    out
        Folder for everything; made if absent.
    methods
        See `variants.parse_methods`.
    seeds
        How many.
    device, reporter
        As in `run_local`.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    ConfigError, DataError, CheckpointError, DeviceError, OutputError
        One sentence each; what is finished is kept.
    """
    hear = reporter or NullReporter()
    check_matplotlib()
    numbers = seeds_of(config, seeds)
    parse_methods(methods, config)  # refused before anything is read
    data = read_data(config, hear)
    variants = parse_methods(methods, _with_these_splits(config, data))
    runs: dict[str, list[RunFigures]] = {}
    for index, variant in enumerate(variants):
        for place, seed in enumerate(numbers):
            number = index * len(numbers) + place + 1
            hear.log(f"{variant.label}, seed {seed}: run {number} of {len(variants) * seeds}")
            path = out / RUNS / variant.slug / f"seed-{seed}"
            _run(with_seed(variant, seed), path, data, device, hear)
            runs.setdefault(variant.label, []).append(
                read_run(RunFolder(path), variant.label, seed)
            )
    return _write(config, out, variants, runs, data)


def check_matplotlib() -> None:
    """Say what is missing now, not after hours of training."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError(
            "The figures need matplotlib, which is not installed.",
            "pip install 'fedcross[train]'",
        )


def _with_these_splits(config: TrainingConfig, data: FederationData) -> TrainingConfig:
    """The configuration with its splits as lists of cases, which no seed changes."""
    sites = []
    for site, cases in zip(config.sites, data.cases, strict=True):
        names = {part: names for part, names in cases.names().items() if part != "unused"}
        sites.append(site.model_copy(update={"split": ExplicitSplit.model_validate(names)}))
    return config.model_copy(update={"sites": tuple(sites)})


def _run(
    config: TrainingConfig, path: Path, data: FederationData, device: str, reporter: Reporter
) -> None:
    """Bring one run to its end, from wherever it is."""
    run = RunFolder(path)
    if not run.exists:
        run_local(config, path, device=device, reporter=reporter, data=data)
        return
    try:
        if not (path / TEST).is_file():
            run_local(config, path, resume=True, device=device, reporter=reporter, data=data)
            return
        with open_run(path, config, resume=True):  # is it the same configuration?
            pass
    except CheckpointError as error:
        raise CheckpointError(f"{path.parent.name}: {error.message}", error.hint) from error


def _write(
    config: TrainingConfig,
    out: Path,
    variants: Sequence[Variant],
    runs: dict[str, list[RunFigures]],
    data: FederationData,
) -> Path:
    from fedcross.study.compare.page import comparison_page  # matplotlib, only now

    write_atomically(out / TABLE, as_csv(_site_rows(runs)), durable=True)
    write_atomically(out / CASES, as_csv(_case_rows(runs)), durable=True)
    brought = sum(
        volume.image.nbytes + volume.label.nbytes for site in data.sites for volume in site.train
    )
    moved = {v.label: brought for v in variants if v.config.method.pools_cases}
    method = config.method
    budget = (
        f"Every method trains on every site's cases in {method.rounds} x {method.local_epochs} "
        "epochs altogether."
    )
    text = comparison_page(config.name, runs, moved, budget)
    write_atomically(out / PAGE, text.encode("utf-8"), durable=True)
    return out / PAGE


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


def as_csv(rows: Iterable[Sequence[object]]) -> bytes:
    """Rows as CSV in UTF-8, numbers with six digits."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(
        [f"{value:.6g}" if isinstance(value, float) else value for value in row] for row in rows
    )
    return text.getvalue().encode("utf-8")
