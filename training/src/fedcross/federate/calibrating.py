"""Calibrates a bundle with the cases of the sites, by the engine that the configuration names."""

from collections.abc import Collection
from pathlib import Path

from fedcross.calibration.calibrate import calibrate_bundle, with_calibration
from fedcross.calibration.fit import describe_gaps
from fedcross.calibration.labelled_cases import doubt_training_cases
from fedcross.contract.request import RequestOptions
from fedcross.federate.ask_sites import ask_sites
from fedcross.federate.engines import choose_engine, require_flare
from fedcross.federate.flare.bundle_job import build_calibration_job
from fedcross.federate.remote.calibration import read_calibration
from fedcross.model.bundle import open_bundle
from fedcross.model.bundle_copy import check_copy, write_copy
from fedcross.model.calibration import Calibration
from fedcross.model.calibration_text import describe_wide_intervals
from fedcross.runtime.reporting import NullReporter, Reporter
from fedcross.training.config.configuration import TrainingConfig
from fedcross.uncertainty.risk_control import DEFAULT_POOLING, Pooling


def calibrate_federation(
    path: Path,
    config: TrainingConfig,
    out: Path,
    *,
    parts: Collection[str] = ("validation",),
    pooling: Pooling = DEFAULT_POOLING,
    device: str = "auto",
    kit: Path | None = None,
    reporter: Reporter | None = None,
) -> Calibration:
    """Calibrate a bundle without moving a case: here, on FLARE's simulator, or across hospitals.

    Parameters
    ----------
    path, out, parts, pooling, reporter
        See `fedcross.calibration.calibrate.calibrate_bundle`.
    config
        Configuration with the sites; its section ``engine`` says where they are.
    device
        Device on this machine; hospitals use that of their settings.
    kit
        The coordinator's startup kit, to ask the hospitals.

    Raises
    ------
    ConfigError
        If NVIDIA FLARE is needed and not installed, or ``engine.kind`` and `kit` do not fit together.
    FedCrossError
        If bundle, configuration, data or output cannot be used, or no hospital sends curves.
    """
    kind, reporter = choose_engine(config.engine.kind, kit), reporter or NullReporter()
    if kind == "local":
        options = RequestOptions(device=device)
        return calibrate_bundle(
            path, config, out, parts=parts, pooling=pooling, options=options, reporter=reporter
        )
    require_flare(kind)
    with open_bundle(path) as bundle:
        check_copy(path, out)
        trained = [site.name for site in config.sites if "train" in parts]
        if doubt := doubt_training_cases(trained, bundle.manifest):
            reporter.warning(doubt)
        with ask_sites(
            config,
            lambda folder, run_id: build_calibration_job(
                config, bundle, folder, run_id=run_id, pooling=pooling, parts=tuple(parts)
            ),
            kind="calibration",
            stage="calibrate",
            content="curves of their labelled cases",
            device=device,
            kit=kit,
            reporter=reporter,
        ) as result:
            calibration = read_calibration(result)
        for sentence in describe_gaps(calibration):
            reporter.log(sentence)
        for sentence in describe_wide_intervals(calibration):
            reporter.warning(sentence)
        write_copy(bundle, with_calibration(bundle, calibration).manifest, out)
    return calibration
