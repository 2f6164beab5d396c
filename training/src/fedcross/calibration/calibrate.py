"""Calibrate a bundle with labelled cases on this machine: a bundle in, a calibrated bundle out."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path

from fedcross.backends.factory import Backend
from fedcross.calibration.cases_at_once import check_cases_at_once, outcomes_of_sites
from fedcross.calibration.curves import StructureCurves
from fedcross.calibration.fit import describe_gaps, fit_calibration, fit_temperature
from fedcross.calibration.labelled_cases import (
    LabelledCase,
    doubt_training_cases,
    find_labelled_cases,
)
from fedcross.calibration.site_curves import (
    TEMPERATURE_CASES,
    Progress,
    add_curves,
    add_likelihoods,
    case_likelihood,
    segmented_curves,
)
from fedcross.contract.plain_text import counted
from fedcross.contract.request import RequestOptions
from fedcross.infer.models import Models
from fedcross.model.bundle import Bundle, open_bundle
from fedcross.model.bundle_copy import check_copy, write_copy
from fedcross.model.calibration import Calibration
from fedcross.model.calibration_text import describe_wide_intervals
from fedcross.model.manifest import Manifest
from fedcross.runtime.reporting import NullReporter, Reporter
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.source import ConfigSource, PathLike, load_source
from fedcross.uncertainty.risk_control import DEFAULT_POOLING, Pooling

STAGE = "calibrate"


def calibrate(
    bundle: PathLike,
    config: ConfigSource,
    out: PathLike,
    *,
    parts: Collection[str] = ("validation",),
    sites: Collection[str] | None = None,
    pooling: Pooling = DEFAULT_POOLING,
    device: str = "auto",
    precision: str = "auto",
    backend: str = "auto",
    data_root: PathLike | None = None,
    workers: int = 1,
    reporter: Reporter | None = None,
) -> Calibration:
    """Calibrate a bundle with labelled cases; the bundle itself is not changed.

    Parameters
    ----------
    bundle
        Bundle folder or ``.zip``.
    config, data_root
        See `fedcross.load_config`; the sites with the labelled cases. The cases must not have trained
        the members.
    out
        Bundle to write: a folder, or a ``.zip`` if the name ends so.
    parts
        Parts of the split to use: ``train``, ``validation``, ``test``.
    sites
        Names of the sites to use; None uses all.
    pooling
        ``shrunk``: intervals and contours hold at nine of ten sites, also new ones. ``pooled``: for the
        cases of all sites together. ``per-site``: at each of these sites, by its own cases alone.
    device, precision, backend
        See `fedcross.segment`.
    workers
        Number of cases at the same time, each in a process of its own; the figures do not depend on it.
        A script that uses several needs the line ``if __name__ == "__main__":`` above its calls.
    reporter
        Receives stages, progress, and a line for each thing that there are too few cases for.

    Returns
    -------
    Calibration
        What the calibrated bundle contains.

    Raises
    ------
    ConfigError, DataError, BundleError, DeviceError, OutputError
        If something cannot be used: one sentence.
    """
    return calibrate_bundle(
        Path(bundle),
        load_source(config, data_root),
        Path(out),
        parts=parts,
        sites=sites,
        pooling=pooling,
        options=RequestOptions(device=device, precision=precision, backend=backend),
        workers=workers,
        reporter=reporter,
    )


def calibrate_bundle(
    path: Path,
    config: TrainingConfig,
    out: Path,
    *,
    parts: Collection[str] = ("validation",),
    sites: Collection[str] | None = None,
    pooling: Pooling = DEFAULT_POOLING,
    options: RequestOptions | None = None,
    workers: int = 1,
    reporter: Reporter | None = None,
) -> Calibration:
    """Calibrate a bundle and write the calibrated one; the bundle itself is not changed.

    The cases are segmented once for the temperature, at most
    `fedcross.calibration.site_curves.TEMPERATURE_CASES` of each site, and all of them for the rest.

    Parameters
    ----------
    path
        Bundle folder or ``.zip``.
    config
        Configuration with the sites of the labelled cases.
    out
        Bundle to write: a folder, or a ``.zip`` if the name ends so. A bundle that is there is replaced.
    parts, sites
        Which cases, see `find_labelled_cases`.
    pooling
        How the sites' curves are combined, see `fedcross.uncertainty.risk_control`.
    options
        Device, precision and back-end; None is the default of ``fedcross segment``.
    workers
        Number of cases at the same time.
    reporter
        Receives stages, progress, and a line for each thing that there are too few cases for.

    Returns
    -------
    Calibration
        What the written bundle contains.

    Raises
    ------
    FedCrossError
        If bundle, configuration, data, device or output cannot be used.
    """
    reporter, options = reporter or NullReporter(), options or RequestOptions()
    with open_bundle(path) as bundle:
        check_copy(path, out)
        cases = find_labelled_cases(config, bundle.manifest, parts=parts, sites=sites)
        check_cases_at_once(cases, bundle, options, workers)
        trained = [case.site for case in cases if case.part == "train"]
        if doubt := doubt_training_cases(trained, bundle.manifest):
            reporter.warning(doubt)
        by_site = [list(each) for _, each in groupby(cases, key=lambda case: case.site)]
        calibration = _calibrate(bundle, by_site, pooling, options, workers, reporter)
        for sentence in describe_gaps(calibration):
            reporter.log(sentence)
        for sentence in describe_wide_intervals(calibration):
            reporter.warning(sentence)
        write_copy(bundle, _without_stale_profile(bundle, calibration, reporter), out)
    return calibration


def _calibrate(
    bundle: Bundle,
    sites: Sequence[Sequence[LabelledCase]],
    pooling: Pooling,
    options: RequestOptions,
    workers: int,
    reporter: Reporter,
) -> Calibration:
    total = sum(min(len(cases), TEMPERATURE_CASES) + len(cases) for cases in sites)
    reporter.stage(STAGE, f"Segmenting the labelled cases of {counted(len(sites), 'site')}")
    advance = _counter(total, reporter)
    likelihoods = outcomes_of_sites(
        partial(case_likelihood, bundle=bundle, options=options),
        [cases[:TEMPERATURE_CASES] for cases in sites],
        workers,
        advance,
    )
    temperature = fit_temperature(
        list(map(add_likelihoods, likelihoods)), bundle.manifest.calibration.temperature
    )
    tempered = with_calibration(bundle, Calibration(temperature=temperature))
    curves = outcomes_of_sites(
        partial(_tempered_curves, bundle=tempered, options=options), sites, workers, advance
    )
    names = [structure.name for structure in bundle.manifest.structures]
    return fit_calibration([add_curves(each, temperature) for each in curves], names, pooling)


def _tempered_curves(
    case: LabelledCase, models: Models, *, bundle: Bundle, options: RequestOptions
) -> list[StructureCurves]:
    """Return the curves of a case for a bundle with another calibration than its folder has."""
    calibrated = calibrated_models(models, bundle.manifest.calibration)
    return segmented_curves(case, calibrated, bundle=bundle, options=options)


def _without_stale_profile(
    bundle: Bundle, calibration: Calibration, reporter: Reporter
) -> Manifest:
    """Return the calibrated manifest, without a profile that was made with another temperature."""
    manifest = with_calibration(bundle, calibration).manifest
    same = calibration.temperature == bundle.manifest.calibration.temperature
    if manifest.profile is None or same:
        return manifest
    reporter.warning(
        "The temperature has changed, so the profile is left out; run fedcross profile."
    )
    return manifest.model_copy(update={"profile": None})


def _counter(total: int, reporter: Reporter) -> Progress:
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        reporter.progress(done, total, STAGE)

    return advance


def with_calibration(bundle: Bundle, calibration: Calibration) -> Bundle:
    """Return a bundle with the same files and another calibration."""
    manifest = bundle.manifest.model_copy(update={"calibration": calibration})
    return Bundle(bundle.path, manifest)


def calibrated_models(models: Models, calibration: Calibration) -> Models:
    """Return what opens bundles as `models` does, but with another calibration.

    `models` must not hold members that were loaded with another temperature.
    """

    @contextmanager
    def opened(path: Path, options: RequestOptions) -> Iterator[tuple[Backend, Bundle]]:
        with models(path, options) as (backend, bundle):
            yield backend, with_calibration(bundle, calibration)

    return opened
