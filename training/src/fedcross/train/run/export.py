"""From a run to a bundle: the run's models, whatever the method, as the members of an ensemble."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from fedcross.errors import CheckpointError, ConfigError
from fedcross.model.bundle import Bundle, write_bundle
from fedcross.train.run.checkpoint import Checkpoint
from fedcross.train.run.folder import CONFIG, SCHEDULE, TEST, RunFolder

Which = Literal["best", "last"]


def export_run(run: Path, out: Path, which: str = "best") -> Bundle:
    """Make a bundle of a run's members.

    Parameters
    ----------
    run
        Run folder, finished or not.
    out
        Bundle folder to make; a bundle that is there is replaced.
    which
        ``best``: the round with the highest validation Dice (the last one if nothing was
        validated); ``last``: the last finished round.

    Raises
    ------
    CheckpointError
        If there is no run, no finished round, or its files are damaged.
    ConfigError
        If `which` is neither.
    OutputError
        If the bundle cannot be written.
    """
    folder = RunFolder(run)
    config = folder.configuration()
    checkpoint = load_members(folder, which)
    recorded, schedule = folder.read(CONFIG), folder.read(SCHEDULE)
    manifest = {
        "name": config.name,
        "description": config.description,
        "architecture": config.network.model_dump(mode="json"),
        "preprocessing": config.preprocessing.model_dump(mode="json"),
        "structures": [structure.model_dump(mode="json") for structure in config.structures],
        "sites": schedule["sites"],
        "schedule": schedule["schedule"] and schedule["schedule"][: checkpoint.rounds_done],
        "provenance": {
            "created": datetime.now(UTC).date().isoformat(),
            "source": f"{config.method.title}, {checkpoint.rounds_done} rounds of "
            f"{config.method.local_epochs} local epochs at {len(config.sites)} sites.",
            "packages": recorded["packages"],
            "configuration_sha256": recorded["sha256"],
            "validation": _figures(folder, checkpoint),
        },
    }
    return write_bundle(
        out,
        manifest,
        [dict(member.weights) for member in checkpoint.predictors],
        visited=[(member.last_site, member.rounds_done) for member in checkpoint.predictors],
    )


def load_members(folder: RunFolder, which: str) -> Checkpoint:
    """The checkpoint that is meant by ``best`` or ``last``.

    Raises
    ------
    CheckpointError, ConfigError
        As `export_run`.
    """
    if which not in ("best", "last"):
        raise ConfigError(f"which must be best or last, got {which!r}.")
    last = folder.checkpoints.latest()
    if last is None:
        raise CheckpointError(f"The run {folder.path.name} has not finished a round yet.")
    if which == "last" or last.best is None or last.best.round == last.rounds_done:
        return last
    return folder.checkpoints.load(last.best.round)


def _figures(folder: RunFolder, checkpoint: Checkpoint) -> dict[str, float]:
    """Validation figures of this round, and test figures if they are of this round."""
    figures = {f"validation Dice, {name}": d for name, d in checkpoint.validation.items()}
    if (folder.path / TEST).is_file():
        test = folder.read(TEST)
        if test["round"] == checkpoint.rounds_done and test["mean"] is not None:
            figures["test Dice, ensemble, mean"] = test["mean"]["ensemble"]
    return figures
