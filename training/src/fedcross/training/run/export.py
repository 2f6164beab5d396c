"""Export a run as a bundle: the run's models, of any method, become the members of an ensemble."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from fedcross.contract.plain_text import counted
from fedcross.errors import CheckpointError, ConfigError
from fedcross.model.architecture import Architecture, CustomArchitecture
from fedcross.model.bundle import Bundle, write_bundle
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.run.checkpoint import Checkpoint
from fedcross.training.run.folder import CONFIG, SCHEDULE, TEST, RunFolder
from fedcross.training.run.participation import list_trained

TEST_DICE = "test Dice, ensemble, mean"
"""Name of the mean test Dice among the figures of a bundle's provenance."""
Which = Literal["kept", "last", "best"]


def export_run(
    run: Path, out: Path, which: str = "kept", members: Sequence[int] | None = None
) -> Bundle:
    """Make a bundle of the members of one round.

    Parameters
    ----------
    run
        Run folder; the run may be unfinished.
    out
        Bundle folder to create; an existing bundle is replaced.
    which
        ``last``: the last finished round. ``best``: the best validated round, see `choose_better`, or
        the last one if no round was validated. ``kept``: the one of these that ``training.keep`` of
        the run's configuration names.
    members
        Numbers of the members of the bundle, from 0, in its order; None is all. A bundle of some of
        the members has no validation figures, because those of the run are of all together.

    Raises
    ------
    CheckpointError
        If there is no run or no finished round, or a file of the run is damaged.
    ConfigError
        If `which` is none of these, or `members` is empty, names a member twice or one that the run
        does not have.
    OutputError
        If the bundle cannot be written.
    PluginError
        If the network is code of another package that is not installed, not allowed, or of another
        version than at the beginning of the run.
    """
    folder = RunFolder(run)
    config = folder.configuration()
    checkpoint = load_members(folder, which)
    recorded, schedule = folder.read(CONFIG), folder.read(SCHEDULE)
    trained = list_trained(folder, config, checkpoint.rounds_done)
    count = len(checkpoint.predictors)
    chosen = range(count) if members is None else _check_members(members, count)
    is_whole = sorted(chosen) == list(range(count))
    manifest = {
        "name": config.name,
        "description": config.description,
        "architecture": _with_version(config.network, recorded["packages"]).model_dump(mode="json"),
        "preprocessing": config.preprocessing.model_dump(mode="json"),
        "structures": [structure.model_dump(mode="json") for structure in config.structures],
        "sites": trained,
        "schedule": schedule["schedule"]
        and _routes(schedule["schedule"], schedule["sites"], trained, checkpoint, chosen),
        "provenance": {
            "created": datetime.now(UTC).date().isoformat(),
            "source": f"{'' if is_whole else _name_members(chosen, count)}{config.method.title}, "
            f"{counted(checkpoint.rounds_done, 'round')} of "
            f"{counted(config.method.local_epochs, 'local epoch')} at {_count_sites(config, trained)}"
            f"{_origin(config)}.",
            "packages": recorded["packages"],
            "configuration_sha256": recorded["sha256"],
            "validation": _figures(folder, checkpoint) if is_whole else {},
        },
    }
    exported = [checkpoint.predictors[index] for index in chosen]
    return write_bundle(
        out,
        manifest,
        [dict(member.weights) for member in exported],
        visited=[(member.last_site, member.rounds_done) for member in exported],
    )


def _check_members(members: Sequence[int], count: int) -> Sequence[int]:
    """Return the numbers of members if each is a member of the run and named once."""
    has_all = all(0 <= index < count for index in members)
    if members and has_all and len(set(members)) == len(members):
        return members
    known = "0" if count == 1 else f"0 to {count - 1}"
    got = ", ".join(map(str, members)) or "none"
    raise ConfigError(
        f"members must be one or more of {known}, each once, got {got}.",
        "Leave it out for all members.",
    )


def _name_members(members: Sequence[int], count: int) -> str:
    """The members of a bundle that has not all of the run, for the provenance."""
    names = ", ".join(map(str, members))
    return f"Member{'s' if len(members) > 1 else ''} {names} of {count} of a run: "


def _with_version(network: Architecture, packages: Mapping[str, str]) -> Architecture:
    """The network with the version of its package with which the run was begun."""
    if isinstance(network, CustomArchitecture):
        return network.with_version(packages[network.plugin.package])
    return network


def _origin(config: TrainingConfig) -> str:
    """The bundle that the run began from, for the provenance; empty if there is none."""
    sha256 = config.start.sha256
    return "" if sha256 is None else f", begun from the bundle with the SHA-256 {sha256}"


def _count_sites(config: TrainingConfig, trained: Sequence[str]) -> str:
    """The number of sites that trained, in words, and the names of those that did not."""
    missing = [site.name for site in config.sites if site.name not in trained]
    if not missing:
        return counted(len(trained), "site")
    return f"{len(trained)} of {len(config.sites)} sites (without {', '.join(missing)})"


def _routes(
    schedule: Sequence[Sequence[int]],
    sites: Sequence[str],
    trained: Sequence[str],
    checkpoint: Checkpoint,
    members: Sequence[int],
) -> list[list[int]] | None:
    """The site of every one of `members` in every finished round, also while one walked for all.

    The numbers are those of the sites that trained. None if a row has another site: the members were
    not trained as planned.
    """
    count = len(checkpoint.members)
    rows = [list(row) * (count // len(row)) for row in schedule[: checkpoint.rounds_done]]
    numbers = {index: trained.index(name) for index, name in enumerate(sites) if name in trained}
    if any(site not in numbers for row in rows for site in row):
        return None
    return [[numbers[row[index]] for index in members] for row in rows]


def load_members(folder: RunFolder, which: str) -> Checkpoint:
    """Load the checkpoint of one round of a run.

    Parameters
    ----------
    folder
        The run.
    which
        ``kept``, ``last`` or ``best``, see `export_run`.

    Raises
    ------
    CheckpointError
        If there is no finished round, or its files are damaged.
    ConfigError
        If `which` is none of these.
    """
    if which not in get_args(Which):
        raise ConfigError(f"which must be kept, last or best, got {which!r}.")
    if which == "kept":
        which = folder.configuration().training.keep
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
            figures[TEST_DICE] = test["mean"]["ensemble"]
    return figures
