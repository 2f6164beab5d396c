"""Measure the cases of the sites with a bundle, and write a bundle with their profile."""

from collections.abc import Collection, Sequence
from pathlib import Path

from fedcross.calibration.labelled_cases import LabelledCase, find_labelled_cases
from fedcross.calibration.profile import MeasuredCase, profile_of
from fedcross.calibration.segmented_cases import SegmentedCase, segment_case
from fedcross.contract.request import RequestOptions
from fedcross.infer.models import Models, fresh_models
from fedcross.infer.warm import WarmModels
from fedcross.model.bundle import Bundle, open_bundle
from fedcross.model.bundle_copy import check_copy, write_copy
from fedcross.model.profile import Profile
from fedcross.runtime.reporting import NullReporter, Reporter
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.source import ConfigSource, PathLike, load_source

STAGE = "profile"
PARTS = ("train", "validation")


def profile(
    bundle: PathLike,
    config: ConfigSource,
    out: PathLike,
    *,
    parts: Collection[str] = PARTS,
    sites: Collection[str] | None = None,
    device: str = "auto",
    precision: str = "auto",
    backend: str = "auto",
    data_root: PathLike | None = None,
    reporter: Reporter | None = None,
) -> Profile:
    """Record what the sites' cases have in common, so that unfamiliar scans are noticed.

    The bundle itself is not changed. Calibrate it first: its temperature must not change afterwards.

    Parameters
    ----------
    bundle
        Bundle folder or ``.zip``.
    config, data_root
        See `fedcross.load_config`; the sites and their cases. Their label maps are not used.
    out
        Bundle to write: a folder, or a ``.zip`` if the name ends so.
    parts
        Parts of the split to use: ``train``, ``validation``, ``test``.
    sites
        Names of the sites to use; None uses all.
    device, precision, backend
        See `fedcross.segment`.
    reporter
        Receives the stage and the number of cases done; None reports nothing.

    Returns
    -------
    Profile
        What the written bundle contains; ``counts`` has the number of cases of each site.

    Raises
    ------
    ConfigError, DataError, BundleError, DeviceError, OutputError
        If something cannot be used, or there are too few cases: one sentence.
    """
    return profile_bundle(
        Path(bundle),
        load_source(config, data_root),
        Path(out),
        parts=parts,
        sites=sites,
        options=RequestOptions(device=device, precision=precision, backend=backend),
        reporter=reporter,
    )


def profile_bundle(
    path: Path,
    config: TrainingConfig,
    out: Path,
    *,
    parts: Collection[str] = PARTS,
    sites: Collection[str] | None = None,
    options: RequestOptions | None = None,
    reporter: Reporter | None = None,
) -> Profile:
    """Write a bundle with the profile of the sites' cases; the bundle itself is not changed.

    Parameters
    ----------
    path
        Bundle folder or ``.zip``, with its final temperature, because the doubt depends on it.
    config
        Configuration with the sites of the cases.
    out
        Bundle to write: a folder, or a ``.zip`` if the name ends so. A bundle that is there is replaced.
    parts, sites
        Which cases, see `find_labelled_cases`.
    options
        Device, precision and back-end; None is the default of ``fedcross segment``.
    reporter
        Receives the stage and the number of cases done.

    Returns
    -------
    Profile
        What the written bundle contains.

    Raises
    ------
    FedCrossError
        If bundle, configuration, data, device or output cannot be used, or there are too few cases.
    """
    reporter = reporter or NullReporter()
    with open_bundle(path) as bundle, WarmModels() as models:
        check_copy(path, out)
        cases = find_labelled_cases(config, bundle.manifest, parts=parts, sites=sites)
        reporter.stage(STAGE, f"Measuring {len(cases)} cases")
        measured = measure_cases(cases, bundle, options=options, models=models, reporter=reporter)
        profile = profile_of(measured)
        write_copy(bundle, bundle.manifest.model_copy(update={"profile": profile}), out)
    return profile


def measure_cases(
    cases: Sequence[LabelledCase],
    bundle: Bundle,
    *,
    options: RequestOptions | None = None,
    models: Models = fresh_models,
    reporter: Reporter | None = None,
) -> list[MeasuredCase]:
    """Segment cases and return their properties, in the same order.

    Parameters
    ----------
    cases
        Cases of the sites; their label maps are not used.
    bundle, options, models
        See `fedcross.calibration.segmented_cases.segment_case`.
    reporter
        Receives the number of cases done.

    Raises
    ------
    DataError
        If a file cannot be used.
    """
    reporter, measured = reporter or NullReporter(), []
    for done, case in enumerate(cases, start=1):
        measured.append(
            segment_case(
                case,
                bundle,
                measure_case,
                options=options,
                measures=(),
                properties=True,
                models=models,
            )
        )
        reporter.progress(done, len(cases), STAGE)
    return measured


def measure_case(segmented: SegmentedCase) -> MeasuredCase:
    """Return the properties of a case that was segmented with ``properties=True``."""
    case, properties = segmented.case, segmented.result.properties
    if properties is None:
        raise ValueError("The case must be segmented with properties=True.")
    return MeasuredCase(case.site, case.part, properties)
