"""Jobs about a bundle, which they bring to the server and the sites: calibration and profile."""

from pathlib import Path
from typing import Any

from fedcross.federate.flare.job import BUNDLE, new_job, write_app, write_meta
from fedcross.model.bundle import Bundle
from fedcross.model.bundle_copy import copy_essentials
from fedcross.training.config.configuration import TrainingConfig
from fedcross.uncertainty.risk_control import Pooling


def build_calibration_job(
    config: TrainingConfig,
    bundle: Bundle,
    folder: Path,
    *,
    run_id: str,
    pooling: Pooling,
    parts: tuple[str, ...],
) -> Path:
    """Write the folder of a job that calibrates a bundle; it leaves no run.

    Parameters
    ----------
    config
        Configuration with the sites and their cases.
    bundle
        The opened bundle.
    folder
        Folder in which the job folder is made.
    run_id
        Identifier of the job.
    pooling, parts
        See `CalibrationJob`.

    Raises
    ------
    ConfigError
        If a site has a name that FLARE does not allow.
    """
    content = {"calibration": run_id, "pooling": pooling, "parts": list(parts)}
    return _build_bundle_job(config, bundle, folder, run_id, content)


def build_profile_job(
    config: TrainingConfig, bundle: Bundle, folder: Path, *, run_id: str, parts: tuple[str, ...]
) -> Path:
    """Write the folder of a job that makes the profile of a bundle; it leaves no run.

    Parameters
    ----------
    config, bundle, folder, run_id
        See `build_calibration_job`.
    parts
        See `ProfileJob`.

    Raises
    ------
    ConfigError
        If a site has a name that FLARE does not allow.
    """
    content = {"profile": run_id, "parts": list(parts)}
    return _build_bundle_job(config, bundle, folder, run_id, content)


def _build_bundle_job(
    config: TrainingConfig, bundle: Bundle, folder: Path, run_id: str, content: dict[str, Any]
) -> Path:
    job = new_job(config, folder, run_id)
    target = job / "app" / "config"
    write_app(target, config, content)
    copy_essentials(bundle, target / BUNDLE)
    write_meta(job, {"app": ["server", *(site.name for site in config.sites)]})
    return job
