"""Export a run as a bundle: the run's models, of any method, become the members of an ensemble."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from fedcross.errors import CheckpointError, ConfigError
from fedcross.model.bundle import Bundle, write_bundle
from fedcross.train.run.checkpoint import Checkpoint
from fedcross.train.run.folder import CONFIG, SCHEDULE, TEST, RunFolder

Which = Literal["best", "last"]


def export_run(run: Path, out: Path, which: str = "best") -> Bundle:
    """Make a bundle of the members of one round.

    Parameters
    ----------
    run
        Run folder; the run may be unfinished.
    out
        Bundle folder to create; an existing bundle is replaced.
    which
        ``best``: the best validated round, see `choose_better`, or the last one if no round was
        validated. ``last``: the last finished round.

    Raises
    ------
    CheckpointError
        If there is no run or no finished round, or a file of the run is damaged.
    ConfigError
        If `which` is neither "best" nor "last".
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
    """Load the checkpoint of the best or the last round of a run.

    Parameters
    ----------
    folder
        The run.
    which
        ``best`` or ``last``, see `export_run`.

    Raises
    ------
    CheckpointError
        If there is no finished round, or its files are damaged.
    ConfigError
        If `which` is neither "best" nor "last".
    """
    if which not in ("best", "last"):
        raise ConfigError(f"which must be best or last, got {which!r}.")
    last = folder.checkpoints.latest()
    if last is None:
        raise CheckpointError(f"The run {folder.path.name} has no finished round.")
    if which == "last" or last.best is None or last.best.round == last.rounds_done:
        return last
    return folder.checkpoints.load(last.best.round)


def _figures(folder: RunFolder, checkpoint: Checkpoint) -> dict[str, float]:
    """The round's validation Dices, and its test Dice if the test used this round."""
    figures = {f"validation Dice, {name}": d for name, d in checkpoint.validation.items()}
    if (folder.path / TEST).is_file():
        test = folder.read(TEST)
        if test["round"] == checkpoint.rounds_done and test["mean"] is not None:
            figures["test Dice, ensemble, mean"] = test["mean"]["ensemble"]
    return figures
