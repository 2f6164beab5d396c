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
    if config.engine.kind == "flare":
        raise ConfigError(
            'engine.kind is "flare", which trains across hospitals.',
            'Use fedcross federation submit, or engine.kind = "local" or "flare-simulator".',
        )
    if config.engine.kind == "local":
        run_local(
            config, out, resume=resume, device=device, reporter=reporter, tensorboard=tensorboard
        )
        return
    if tensorboard:
        raise ConfigError('--tensorboard is for engine.kind = "local", got "flare-simulator".')
    if RunFolder(out).exists:
        if not resume:
            raise CheckpointError(
                f"{out.name} already holds a run.", "Add --resume, or choose another folder."
            )
        config = adopt_start(config, RunFolder(out).configuration())
    if importlib.util.find_spec("nvflare") is None:
        raise ConfigError(
            'engine.kind is "flare-simulator", but NVIDIA FLARE is not installed.',
            "pip install 'fedcross[federate]'",
        )
    from fedcross.federate.flare.simulator import run_simulated

    run_simulated(config, out, device=device, reporter=reporter)
