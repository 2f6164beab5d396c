"""A run on the engine that its configuration names."""

import importlib.util
from pathlib import Path

from fedcross.errors import CheckpointError, ConfigError
from fedcross.federate.local.engine import run_local
from fedcross.runtime.reporting import Reporter
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.run.folder import RunFolder


def run_here(
    config: TrainingConfig,
    out: Path,
    *,
    resume: bool = False,
    device: str = "auto",
    reporter: Reporter | None = None,
    tensorboard: bool = False,
) -> None:
    """Train on this machine, with the local engine or NVIDIA FLARE's simulator.

    Parameters
    ----------
    config, out, resume, device, reporter, tensorboard
        As of `local.run_local`; TensorBoard is of the local engine.

    Raises
    ------
    ConfigError
        If the configuration's engine needs hospitals, or does not do what was asked for.
    FedCrossError
        As `local.run_local` and `flare.simulator.run_simulated`.
    """
    if config.engine.kind == "flare":
        raise ConfigError(
            'engine.kind is "flare", which trains across hospitals.',
            "Use fedcross federation submit; here, local or flare-simulator.",
        )
    if config.engine.kind == "local":
        run_local(
            config, out, resume=resume, device=device, reporter=reporter, tensorboard=tensorboard
        )
        return
    if tensorboard:
        raise ConfigError('--tensorboard is for engine.kind = "local", got "flare-simulator".')
    if RunFolder(out).exists and not resume:
        raise CheckpointError(
            f"{out.name} already holds a run.", "Add --resume, or choose another folder."
        )
    if importlib.util.find_spec("nvflare") is None:
        raise ConfigError(
            'engine.kind is "flare-simulator", but NVIDIA FLARE is not installed.',
            "pip install 'fedcross[federate]'",
        )
    from fedcross.federate.flare.simulator import run_simulated

    run_simulated(config, out, device=device, reporter=reporter)
