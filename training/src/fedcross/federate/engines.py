"""Training on this machine, with the engine that the configuration names."""

import importlib.util
from pathlib import Path

from fedcross.errors import CheckpointError, ConfigError
from fedcross.federate.local.engine import run_local
from fedcross.runtime.reporting import Reporter
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.run.folder import RunFolder
from fedcross.training.run.start import adopt_start


def run_training(
    config: TrainingConfig,
    out: Path,
    *,
    resume: bool = False,
    device: str = "auto",
    reporter: Reporter | None = None,
    tensorboard: bool = False,
) -> None:
    """Train with the local engine or NVIDIA FLARE's simulator.

    Parameters
    ----------
    config
        The configuration; ``engine.kind`` must be ``local`` or ``flare-simulator``.
    out
        Run folder, see `fedcross.training.run.folder`.
    resume
        Continue the run in `out` instead of beginning one.
    device
        ``auto``, ``cpu`` or ``cuda:N``; for the local engine also several, as ``cuda:0,cuda:1``.
    reporter
        Receives stages and progress; None for no reports.
    tensorboard
        Also write event files for TensorBoard; for the local engine only.

    Raises
    ------
    ConfigError
        If ``engine.kind`` is ``flare``, NVIDIA FLARE is needed and not installed, or the engine does
        not support an option.
    CheckpointError
        If `out` holds a run and `resume` is false.
    FedCrossError
        Whatever `local.engine.run_local` or `flare.simulator.run_simulated` raises.
    """
    check_engine(config, out, resume=resume, tensorboard=tensorboard)
    if config.engine.kind == "local":
        run_local(
            config, out, resume=resume, device=device, reporter=reporter, tensorboard=tensorboard
        )
        return
    from fedcross.federate.flare.simulator import run_simulated

    if RunFolder(out).exists:
        config = adopt_start(config, RunFolder(out).configuration())
    run_simulated(config, out, device=device, reporter=reporter)


def check_engine(config: TrainingConfig, out: Path, *, resume: bool, tensorboard: bool) -> None:
    """Check that the engine can train on this machine with these options; no case is read.

    Raises
    ------
    ConfigError, CheckpointError
        See `run_training`.
    """
    if config.engine.kind == "flare":
        raise ConfigError(
            'engine.kind is "flare", which trains across hospitals.',
            'Use fedcross federation submit, or engine.kind = "local" or "flare-simulator".',
        )
    if config.engine.kind == "local":
        return
    if tensorboard:
        raise ConfigError('--tensorboard is for engine.kind = "local", got "flare-simulator".')
    if RunFolder(out).exists and not resume:
        raise CheckpointError(
            f"{out.name} already holds a run.", "Add --resume, or choose another folder."
        )
    require_flare(config.engine.kind)


def require_flare(kind: str) -> None:
    """Raise ConfigError if NVIDIA FLARE, which an engine of this kind needs, is not installed."""
    if importlib.util.find_spec("nvflare") is None:
        raise ConfigError(
            f'engine.kind is "{kind}", but NVIDIA FLARE is not installed.',
            "Install it: pip install 'fedcross[federate]'",
        )


def choose_engine(kind: str, kit: Path | None) -> str:
    """Return the kind of the engine that asks the sites: ``flare`` with the coordinator's kit.

    Parameters
    ----------
    kind
        ``engine.kind`` of the configuration; ``local`` and ``flare`` mean the same with a kit, as for
        ``fedcross federation submit``.
    kit
        The coordinator's startup kit, or None.

    Raises
    ------
    ConfigError
        If ``flare`` lacks the kit, or the simulator has one.
    """
    if kit is None and kind == "flare":
        raise ConfigError(
            'engine.kind is "flare", and --kit is missing.',
            "Give the folder admin of the startup kits with --kit.",
        )
    if kit is not None and kind == "flare-simulator":
        raise ConfigError(
            'engine.kind is "flare-simulator", which runs on this machine and needs no --kit.',
            'Leave --kit out, or write kind = "flare" in [engine].',
        )
    return kind if kit is None else "flare"
