"""Makes the profile of a bundle with the sites' cases, by the engine that the configuration names."""

import tempfile
from collections.abc import Collection
from pathlib import Path

from fedcross.calibration.profile_bundle import PARTS, profile_bundle
from fedcross.contract.request import RequestOptions
from fedcross.federate.engines import choose_engine, require_flare
from fedcross.model.bundle import Bundle, open_bundle
from fedcross.model.bundle_copy import check_copy, write_copy
from fedcross.model.profile import Profile
from fedcross.runtime.reporting import NullReporter, Reporter
from fedcross.training.config.configuration import TrainingConfig


def profile_federation(
    path: Path,
    config: TrainingConfig,
    out: Path,
    *,
    parts: Collection[str] = PARTS,
    device: str = "auto",
    kit: Path | None = None,
    reporter: Reporter | None = None,
) -> Profile:
    """Make the profile of a bundle without moving a case: here, by FLARE's simulator, or at hospitals.

    Parameters
    ----------
    path, out, parts, reporter
        See `fedcross.calibration.profile_bundle.profile_bundle`.
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
        If bundle, configuration, data or output cannot be used, no hospital sends moments, or there are
        too few cases.
    """
    kind, reporter = choose_engine(config.engine.kind, kit), reporter or NullReporter()
    if kind == "local":
        options = RequestOptions(device=device)
        return profile_bundle(path, config, out, parts=parts, options=options, reporter=reporter)
    require_flare(kind)
    with open_bundle(path) as bundle:
        check_copy(path, out)
        if kit is None:
            from fedcross.federate.flare.simulated_jobs import profile_simulated

            profile = profile_simulated(
                config, bundle, parts=tuple(parts), device=device, reporter=reporter
            )
        else:
            profile = _ask_hospitals(config, bundle, tuple(parts), kit, reporter)
        write_copy(bundle, bundle.manifest.model_copy(update={"profile": profile}), out)
    return profile


def _ask_hospitals(
    config: TrainingConfig, bundle: Bundle, parts: tuple[str, ...], kit: Path, reporter: Reporter
) -> Profile:
    from fedcross.federate.flare.admin import open_server_connection
    from fedcross.federate.flare.bundle_job import build_profile_job
    from fedcross.federate.kits.preflight import open_coordinator_kit
    from fedcross.federate.remote.profile import read_profile
    from fedcross.federate.supervise.short_job import follow_job, new_job_id

    opened = open_coordinator_kit(kit, reporter.log, config, waits=True)
    reporter.stage("profile", "Asking the hospitals for moments of the properties of their cases")
    with tempfile.TemporaryDirectory() as folder, open_server_connection(opened) as connection:
        run_id = new_job_id("profile")
        job_folder = build_profile_job(config, bundle, Path(folder), run_id=run_id, parts=parts)
        return read_profile(follow_job(config, connection, job_folder, Path(folder), reporter.log))
