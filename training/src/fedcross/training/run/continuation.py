"""A run that goes on with more rounds or more sites than it was begun with.

Everything else stays as it was. The rows of the schedule up to the last finished round stay as they are.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fedcross.errors import CheckpointError
from fedcross.strategies.plan import Stage
from fedcross.strategies.schedule import Schedule
from fedcross.training.config.configuration import TrainingConfig, config_values, parse_config
from fedcross.training.run.difference import require_same
from fedcross.training.run.folder import (
    CONFIG,
    SCHEDULE,
    SPLITS,
    TEST,
    RunFolder,
    describe_configuration,
)
from fedcross.training.run.start import adopt_start


def continue_configuration(run: RunFolder, config: TrainingConfig) -> TrainingConfig:
    """Return the configuration with which a run goes on: with the run's number of members.

    Parameters
    ----------
    run
        A run that has read its data.
    config
        The configuration that the user gave.

    Raises
    ------
    CheckpointError
        If it has fewer rounds than the run, adds a site to a method with a member for every site, adds a
        site that no round is left for, or differs in anything else.
    """
    recorded = run.configuration()
    config = adopt_start(config, recorded)
    if config.method.rounds < recorded.method.rounds:
        raise CheckpointError(
            f"method.rounds is {config.method.rounds}, but the run {run.path.name} was begun with "
            f"{recorded.method.rounds} rounds, which cannot become fewer.",
            "fedcross export makes a bundle of an unfinished run.",
        )
    began_with = _site_counts(run)[0]
    if len(config.sites) > began_with:
        method = config.method.fix_member_count(began_with)
        config = config.model_copy(update={"method": method})
    require_same(recorded, _without_additions(config, recorded), run.path.name)
    added = config.sites[len(recorded.sites) :]
    if added:
        _check_added(run, config, added[0].name)
    return config


def _without_additions(config: TrainingConfig, recorded: TrainingConfig) -> TrainingConfig:
    """The configuration with the rounds and the number of sites of the recorded one."""
    changes: dict[str, Any] = {"rounds": recorded.method.rounds}
    is_larger = len(config.sites) > len(recorded.sites)
    if is_larger and config.members == recorded.members and hasattr(recorded.method, "members"):
        changes["members"] = recorded.method.members  # None there is the same number here
    return config.model_copy(
        update={
            "method": config.method.model_copy(update=changes),
            "sites": config.sites[: len(recorded.sites)],
        }
    )


def _check_added(run: RunFolder, config: TrainingConfig, name: str) -> None:
    """Raise `CheckpointError` if the site with this name cannot be added to the run."""
    if config.method.is_personal:
        raise CheckpointError(
            f"{config.method.kind} trains a member for every site, so the site {name} cannot be added "
            f"to the run {run.path.name}.",
            "Start a new run.",
        )
    if count_rounds(run) >= config.method.rounds:
        raise CheckpointError(
            f"The run {run.path.name} has finished all of its {config.method.rounds} rounds, so no "
            f"member would visit the new site {name}.",
            "Raise method.rounds.",
        )


def list_stages(run: RunFolder, config: TrainingConfig) -> list[Stage]:
    """Return the parts of a run with different numbers of sites, the present configuration included.

    Parameters
    ----------
    run
        The run; without history it has one stage, unless the configuration adds sites.
    config
        The configuration with which it goes on.
    """
    counts = _site_counts(run)
    firsts = [0, *(entry["rounds_done"] for entry in run.history())]
    if len(config.sites) > counts[-1]:
        counts.append(len(config.sites))
        firsts.append(count_rounds(run))
    stages: list[Stage] = []
    for first, sites in zip(firsts, counts, strict=True):
        if not stages or sites != stages[-1].sites:
            stages.append(Stage(first, sites))
    return stages


def record_plan(
    run: RunFolder,
    config: TrainingConfig,
    splits: Mapping[str, Mapping[str, Sequence[str]]],
    schedule: Schedule | None,
) -> None:
    """Write splits and schedule of a run, or check that the cases of a resumed run are the same.

    If the run goes on with more rounds or sites, splits, schedule and configuration are written again,
    the configuration last. Its history then has the configuration before and the test figures, and
    ``test.json`` is removed until the run is finished again.

    Parameters
    ----------
    run
        The run.
    config
        The configuration with which it is trained.
    splits
        Site to its cases' names by part.
    schedule
        Rounds x members table of site indices; None for methods without a schedule.

    Raises
    ------
    CheckpointError
        If the cases of a resumed run have changed, or a file cannot be written.
    """
    before, recorded = run.read(CONFIG), run.configuration()
    if not (run.path / SPLITS).is_file() or config_values(config) == config_values(recorded):
        run.record_plan(splits, schedule)
        return
    run.check_cases({site.name: splits[site.name] for site in recorded.sites})
    rounds_done = count_rounds(run)
    test = run.read(TEST) if (run.path / TEST).is_file() else None
    entry = {name: before[name] for name in ("configuration", "sha256", "packages")}
    run.write(SCHEDULE, {"sites": list(splits), "schedule": schedule})
    run.write(SPLITS, splits)
    (run.path / TEST).unlink(missing_ok=True)
    run.write(
        CONFIG,
        {
            **describe_configuration(config),
            "history": [*run.history(), {**entry, "rounds_done": rounds_done, "test": test}],
        },
    )


def count_rounds(run: RunFolder) -> int:
    """Return the number of finished rounds of a run."""
    last = run.checkpoints.latest()
    return last.rounds_done if last else 0


def _site_counts(run: RunFolder) -> list[int]:
    """Number of sites of every configuration of the run, the recorded one last."""
    earlier = (
        parse_config(entry["configuration"], source=CONFIG, is_record=True)
        for entry in run.history()
    )
    return [len(each.sites) for each in (*earlier, run.configuration())]
