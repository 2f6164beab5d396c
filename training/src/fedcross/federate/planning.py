"""Plans: the figures are gathered by the engine that the configuration names."""

from functools import partial
from pathlib import Path

from fedcross.errors import OutputError
from fedcross.federate.ask_sites import ask_sites
from fedcross.federate.engines import check_engine, choose_engine, require_flare
from fedcross.runtime.files.atomic import write_atomically
from fedcross.runtime.reporting import NullReporter, Reporter
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.source import (
    ConfigSource,
    PathLike,
    load_source,
    optional_path,
    read_source,
)
from fedcross.training.planning.draft import lacks_grid, read_draft
from fedcross.training.planning.figures import FederationFigures, combine_sites, read_figures
from fedcross.training.planning.gather import gather_figures
from fedcross.training.planning.plan import complete, make_budget
from fedcross.training.planning.run_plan import plan_run, read_run_plan


def plan(
    config: ConfigSource,
    out: PathLike | None = None,
    *,
    memory_gb: float | None = None,
    steps: int | None = None,
    rounds: int | None = None,
    device: str = "auto",
    data_root: PathLike | None = None,
    cache: PathLike | None = None,
    kit: PathLike | None = None,
    reporter: Reporter | None = None,
) -> tuple[TrainingConfig, str]:
    """Complete a configuration from the data: spacing, patch, network, normalisation, rounds.

    Every training and validation case is read, at its site. What the configuration states is kept.

    Parameters
    ----------
    config, data_root, cache
        See `fedcross.load_config`; the sections ``method``, ``network``, ``preprocessing`` and
        ``training`` may be missing, or parts of them.
    out
        TOML file to write; it must not exist. None writes none.
    memory_gb
        Memory of a training step, 10^9 bytes, from 0.2 to 1000; None is that of the device, or 0.6 for
        a CPU, which limits the time of a step.
    steps
        Steps of all members together; None is 1,536 for every member.
    rounds
        Rounds of the run; None chooses them so that a visit has about 4 steps.
    device
        ``auto``, ``cpu``, or a GPU such as ``cuda:0``: whose memory counts.
    kit
        The coordinator's startup kit, to ask the hospitals for the figures of
        their cases.
    reporter
        Receives stages and progress; None reports nothing.

    Returns
    -------
    config : TrainingConfig
        The completed configuration, ready for `train`.
    text : str
        The same as TOML, with the reason beside every proposed value. Its paths are relative to the
        folder of `out`, or else to that of the configuration.

    Raises
    ------
    ConfigError, DataError, DeviceError, FedCrossError
        If configuration, numbers, data or device cannot be used, or the server cannot be reached: one
        sentence.
    OutputError
        If `out` exists or cannot be written.
    """
    path, reporter = optional_path(out), reporter or NullReporter()
    if path is not None and path.exists():
        raise OutputError(f"{path.name} exists already.", "Choose another file.")
    draft = read_draft(config, data_root, cache)
    budget = make_budget(memory_gb, steps, rounds, device)
    figures = gather_by_engine(draft.config, reporter, device=device, kit=optional_path(kit))
    made = complete(draft, figures, budget)
    text = made.toml(draft.config, read_source(config)[2] if path is None else path.parent)
    if path is not None:
        write_atomically(path, text.encode("utf-8"), durable=True)
    return draft.with_paths(made.config()), text


def plan_if_open(
    config: ConfigSource,
    out: Path,
    *,
    resume: bool,
    device: str,
    data_root: PathLike | None,
    cache: PathLike | None,
    start: PathLike | None,
    tensorboard: bool,
    reporter: Reporter,
) -> TrainingConfig:
    """Return the configuration of a run; one without spacing and patch size is planned first.

    Parameters
    ----------
    config, data_root, cache, start
        See `load_source`.
    out
        Run folder; the plan becomes a file in it.
    resume
        Whether the run in `out` is resumed; its plan is then used again.
    device, tensorboard
        See `fedcross.federate.engines.run_training`.
    reporter
        Receives stages, progress and log lines.

    Raises
    ------
    FedCrossError
        If anything cannot be used: one sentence.
    """
    if not lacks_grid(config):
        return load_source(config, data_root, cache, start)
    draft = read_draft(config, data_root, cache, start)
    check_engine(draft.config, out, resume=resume, tensorboard=tensorboard)
    if resume:
        return read_run_plan(draft, out)
    limits = make_budget(None, None, None, device)
    return plan_run(draft, out, limits, reporter, partial(gather_by_engine, device=device))


def gather_by_engine(
    config: TrainingConfig, reporter: Reporter, *, device: str = "auto", kit: Path | None = None
) -> FederationFigures:
    """Gather the figures of all sites: here, on FLARE's simulator, or from the hospitals.

    Parameters
    ----------
    config
        The configuration; only its data, structures, seed and engine are used.
    reporter
        Receives stages, progress and log lines.
    device
        Device in the settings of the simulated sites.
    kit
        The coordinator's startup kit, to ask the hospitals.

    Raises
    ------
    ConfigError
        If NVIDIA FLARE is needed and not installed, or ``engine.kind`` and `kit` do not fit together.
    FedCrossError
        If the figures cannot be gathered.
    """
    kind = choose_engine(config.engine.kind, kit)
    if kind == "local":
        reporter.stage("plan", "Reading the sites' cases")
        return combine_sites(gather_figures(config, reporter))
    require_flare(kind)
    from fedcross.federate.flare.job import build_job

    with ask_sites(
        config,
        lambda folder, run_id: build_job(config, folder, run_id=run_id, plans=True),
        kind="plan",
        stage="plan",
        content="the figures of their cases",
        device=device,
        kit=kit,
        reporter=reporter,
    ) as result:
        return read_figures(result)
