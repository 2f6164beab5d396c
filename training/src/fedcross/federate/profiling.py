"""Makes the profile of a bundle with the sites' cases, by the engine that the configuration names."""

from collections.abc import Collection
from pathlib import Path

from fedcross.calibration.profile_bundle import PARTS, profile_bundle
from fedcross.contract.request import RequestOptions
from fedcross.federate.ask_sites import ask_sites
from fedcross.federate.engines import choose_engine, require_flare
from fedcross.federate.flare.bundle_job import build_profile_job
from fedcross.federate.remote.profile import read_profile
from fedcross.model.bundle import open_bundle
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
        with ask_sites(
            config,
            lambda folder, run_id: build_profile_job(
                config, bundle, folder, run_id=run_id, parts=tuple(parts)
            ),
            kind="profile",
            stage="profile",
            content="moments of the properties of their cases",
            device=device,
            kit=kit,
            reporter=reporter,
        ) as result:
            profile = read_profile(result)
        write_copy(bundle, bundle.manifest.model_copy(update={"profile": profile}), out)
    return profile
