"""Jobs that leave no run on NVIDIA FLARE's simulator: figures for a plan, calibration and profile."""

import tempfile
from pathlib import Path

from fedcross.federate.flare.bundle_job import build_calibration_job, build_profile_job
from fedcross.federate.flare.job import build_job
from fedcross.federate.flare.simulator import simulate_job
from fedcross.federate.remote.calibration import read_calibration
from fedcross.federate.remote.profile import read_profile
from fedcross.model.bundle import Bundle
from fedcross.model.calibration import Calibration
from fedcross.model.profile import Profile
from fedcross.runtime.reporting import NullReporter, Reporter
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.planning.figures import FederationFigures, read_figures
from fedcross.uncertainty.risk_control import Pooling


def gather_simulated(
    config: TrainingConfig, *, device: str = "auto", reporter: Reporter | None = None
) -> FederationFigures:
    """Gather the figures for a plan with every site in its own process, as across hospitals.

    Parameters
    ----------
    config
        The configuration; all sites read from its data folder.
    device
        ``auto``, ``cpu`` or ``cuda:N``.
    reporter
        Receives the stage; None for no reports.

    Raises
    ------
    ConfigError
        If FLARE does not allow a site's name.
    FedCrossError
        If the job does not finish.
    """
    reporter = reporter or NullReporter()
    reporter.stage(
        "plan", "Asking the sites on NVIDIA FLARE's simulator for the figures of their cases"
    )
    with tempfile.TemporaryDirectory(prefix="fedcross-plan-") as folder:
        job_folder = build_job(config, Path(folder), run_id="plan", plans=True)
        return read_figures(simulate_job(job_folder, config, device))


def calibrate_simulated(
    config: TrainingConfig,
    bundle: Bundle,
    *,
    pooling: Pooling,
    parts: tuple[str, ...],
    device: str = "auto",
    reporter: Reporter | None = None,
) -> Calibration:
    """Calibrate a bundle with every site in its own process, as across hospitals.

    Parameters
    ----------
    config, device, reporter
        See `gather_simulated`.
    bundle
        The opened bundle.
    pooling, parts
        See `fedcross.federate.remote.site_calibration.CalibrationJob`.

    Raises
    ------
    ConfigError
        If FLARE does not allow a site's name.
    DataError
        If the calibration is missing.
    FedCrossError
        If the job does not finish.
    """
    reporter = reporter or NullReporter()
    reporter.stage(
        "calibrate", "Asking the sites on NVIDIA FLARE's simulator for curves of their cases"
    )
    with tempfile.TemporaryDirectory(prefix="fedcross-calibration-") as folder:
        job_folder = build_calibration_job(
            config, bundle, Path(folder), run_id="calibration", pooling=pooling, parts=parts
        )
        return read_calibration(simulate_job(job_folder, config, device))


def profile_simulated(
    config: TrainingConfig,
    bundle: Bundle,
    *,
    parts: tuple[str, ...],
    device: str = "auto",
    reporter: Reporter | None = None,
) -> Profile:
    """Make the profile of a bundle with every site in its own process, as across hospitals.

    Parameters
    ----------
    config, bundle, device, reporter
        See `calibrate_simulated`.
    parts
        See `fedcross.federate.remote.site_profile.ProfileJob`.

    Raises
    ------
    ConfigError
        If FLARE does not allow a site's name.
    DataError
        If the profile is missing.
    FedCrossError
        If the job does not finish.
    """
    reporter = reporter or NullReporter()
    reporter.stage(
        "profile", "Asking the sites on NVIDIA FLARE's simulator for moments of their cases"
    )
    with tempfile.TemporaryDirectory(prefix="fedcross-profile-") as folder:
        job_folder = build_profile_job(config, bundle, Path(folder), run_id="profile", parts=parts)
        return read_profile(simulate_job(job_folder, config, device))
