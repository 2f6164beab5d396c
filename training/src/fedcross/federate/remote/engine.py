"""The server's engine: all sites are in other processes."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from fedcross.errors import ConfigError
from fedcross.federate.privacy.noise import describe_privacy
from fedcross.federate.remote.evaluation import test_remotely, validate_remotely
from fedcross.federate.remote.parallel import map_in_parallel
from fedcross.federate.remote.site_work import OPEN, describe_setup
from fedcross.federate.remote.status import RunStatus
from fedcross.federate.remote.visits import RemoteVisits, SendTask, SiteError
from fedcross.federate.rounds import Engine, load_last_round, save_in_background, train_rounds
from fedcross.strategies.plan import make_plan
from fedcross.training.config.augmentation import note_unused
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.run.continuation import (
    continue_configuration,
    list_stages,
    record_plan,
)
from fedcross.training.run.export import load_members
from fedcross.training.run.folder import TEST, RunFolder
from fedcross.training.run.monitor import RunMonitor
from fedcross.training.run.opening import open_run
from fedcross.training.step.custom_check import try_custom_parts


class Sites(SendTask, Protocol):
    """Connections to the sites of a run."""

    def fetch_setups(self) -> Mapping[str, Mapping[str, str]]:
        """Setup of every connected site, see `site_work.describe_setup`, by the site's name."""


def run_remote(config: TrainingConfig, folder: Path, sites: Sites, status: RunStatus) -> None:
    """Begin a run, or continue the one in `folder`, until it is finished.

    A run may be continued with more rounds or sites, see `fedcross.training.run.continuation`.

    Parameters
    ----------
    config
        Configuration of the run.
    folder
        Run folder at the server, see `fedcross.training.run.folder`.
    sites
        Connections to the sites.
    status
        Receives progress and log lines; its pause request ends the run after a round.

    Raises
    ------
    ConfigError
        If a site has another version or configuration, no site is connected, or the method needs a
        figure that a site does not share.
    PluginError
        If the configuration uses code of a package that is not installed here, not allowed, or does not
        work.
    CheckpointError
        If the folder cannot be used.
    KeyboardInterrupt
        If the run was paused; the checkpoints of finished rounds remain.
    """
    try_custom_parts(config)
    with (
        open_run(folder, config, resume=RunFolder(folder).exists, extend=True) as run,
        RunMonitor(run, config, status) as monitor,
    ):
        check_same_setup(describe_setup(config), sites.fetch_setups())
        config = continue_configuration(run, config)
        monitor.stage("read", "Waiting for the sites to read their cases")
        cases = _count_cases(config, sites, monitor.log)
        stages = list_stages(run, config)
        plan = make_plan(config.method, config.network, cases, config.seed, stages)
        record_plan(run, config, {site.name: {} for site in config.sites}, plan.schedule)
        rounds_done = load_last_round(config, run).rounds_done
        status.set_rounds_done(rounds_done)
        if privacy := describe_privacy(config, plan):
            monitor.log(privacy)
        if unused := note_unused(config.augmentation, config.training):
            monitor.log(unused)
        monitor.stage("train", f"Training {config.method.title} at {len(config.sites)} sites")
        monitor.progress(rounds_done, config.method.rounds, "train")
        with save_in_background(run.checkpoints.save) as save:
            engine = Engine(
                visits=RemoteVisits(config, plan, sites, run, rounds_done, monitor.log),
                validate=lambda members: validate_remotely(members, config, sites, monitor.log),
                save=save,
                should_stop=lambda: status.finish_round(monitor),
            )
            is_finished = train_rounds(config, run, plan, engine, monitor)
        if not is_finished:
            raise KeyboardInterrupt
        monitor.stage("test", "Evaluating the round that is kept on the sites' test cases")
        kept = load_members(run, "kept")
        figures = test_remotely(kept.predictors, config, sites, monitor.log)
        run.write(TEST, {"round": kept.rounds_done, **figures})


def check_same_setup(own: Mapping[str, str], others: Mapping[str, Mapping[str, str]]) -> None:
    """Check that all sites have the server's versions and configuration.

    Parameters
    ----------
    own
        The server's setup, see `site_work.describe_setup`.
    others
        The sites' setups by the sites' names.

    Raises
    ------
    ConfigError
        If a site differs, with both values; or if `others` is empty.
    """
    if not others:
        raise ConfigError("No site of the configuration is connected.")
    for site, setup in others.items():
        for what, value in own.items():
            other = setup.get(what, "none")
            if other != value:
                raise ConfigError(
                    f"Site {site} differs from the server in {what}: {other} there, {value} here.",
                    "Make both the same, then submit the run again.",
                )


def _count_cases(config: TrainingConfig, sites: Sites, log: Callable[[str], None]) -> Sequence[int]:
    """Number of training cases of every site; 0 if the site fails or does not share it.

    The task lets every site read its cases. An averaging method that weights by the numbers of cases
    raises ConfigError if a site does not share its number.
    """
    names = [site.name for site in config.sites]

    def count_cases(name: str) -> int | None:
        try:
            count: int | None = sites(name, OPEN, [], 0)["cases"]
        except SiteError as error:
            log(str(error))
            return 0
        return count

    counts = list(map_in_parallel(count_cases, names))
    for name, count in zip(names, counts, strict=True):
        if count is None and config.method.weights_by_cases:
            raise ConfigError(
                f"Site {name} does not share its number of cases, which "
                f"{config.method.kind} needs as the site's weight.",
                'Use method.weighting = "equal".',
            )
    return [count or 0 for count in counts]
