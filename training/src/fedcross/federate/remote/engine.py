"""The server's engine: all sites are in other processes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from fedcross.contract.plain_text import counted
from fedcross.errors import ConfigError
from fedcross.federate.privacy.noise import describe_privacy
from fedcross.federate.remote.evaluation import test_remotely, validate_remotely
from fedcross.federate.remote.parallel import map_in_parallel
from fedcross.federate.remote.setups import FetchSetups, check_enough_setups, require_enough
from fedcross.federate.remote.site_work import OPEN
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


class Sites(SendTask, FetchSetups, Protocol):
    """Connections to the sites of a run."""


def run_remote(
    config: TrainingConfig,
    folder: Path,
    sites: Sites,
    status: RunStatus,
    min_sites: int | None = None,
) -> None:
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
    min_sites
        Number of sites that must be able to train before a round begins; None for that of the
        configuration.

    Raises
    ------
    ConfigError
        If a site has another version or configuration, too many sites cannot take part or cannot read
        their cases, or the method needs a figure that a site does not share.
    TooFewSitesError
        If too few sites are connected.
    PluginError
        If the configuration uses code of a package that is not installed here, not allowed, or does not
        work.
    CheckpointError
        If the folder cannot be used.
    KeyboardInterrupt
        If the run was paused; the checkpoints of finished rounds remain.
    """
    try_custom_parts(config)
    min_sites = config.count_needed_sites(min_sites)
    with (
        open_run(folder, config, resume=RunFolder(folder).exists, extend=True) as run,
        RunMonitor(run, config, status) as monitor,
    ):
        check_enough_setups(config, sites, min_sites, monitor.warning)
        config = continue_configuration(run, config)
        monitor.stage("read", "Waiting for the sites to read their cases")
        cases = _count_cases(config, sites, min_sites, monitor.warning)
        stages = list_stages(run, config)
        plan = make_plan(config.method, config.network, cases, config.seed, stages)
        record_plan(run, config, {site.name: {} for site in config.sites}, plan.schedule)
        rounds_done = load_last_round(config, run).rounds_done
        status.set_rounds_done(rounds_done)
        if privacy := describe_privacy(config, plan):
            monitor.log(privacy)
        if unused := note_unused(config.augmentation, config.training):
            monitor.log(unused)
        place = counted(len(config.sites), "site")
        monitor.stage("train", f"Training {config.method.title} at {place}")
        monitor.progress(rounds_done, config.method.rounds, "train")
        with save_in_background(run.checkpoints.save) as save:
            engine = Engine(
                visits=RemoteVisits(config, plan, sites, run, rounds_done, monitor.warning),
                validate=lambda members: validate_remotely(members, config, sites, monitor.warning),
                save=save,
                should_stop=lambda: status.finish_round(monitor),
            )
            is_finished = train_rounds(config, run, plan, engine, monitor)
        if not is_finished:
            raise KeyboardInterrupt
        monitor.stage("test", "Evaluating the round that is kept on the sites' test cases")
        kept = load_members(run, "kept")
        figures = test_remotely(kept.predictors, config, sites, monitor.warning)
        run.write(TEST, {"round": kept.rounds_done, **figures})


def _count_cases(
    config: TrainingConfig, sites: Sites, min_sites: int, log: Callable[[str], None]
) -> Sequence[int]:
    """Number of training cases of every site; 0 if the site fails or does not share it.

    The task lets every site read its cases. ConfigError if too few sites can read them, or if an
    averaging method that weights by the numbers of cases gets no number from a site.
    """
    names = [site.name for site in config.sites]
    failures: list[str] = []

    def count_cases(name: str) -> int | None:
        try:
            count: int | None = sites(name, OPEN, [], 0)["cases"]
        except SiteError as error:
            log(str(error))
            failures.append(str(error))
            return 0
        return count

    counts = list(map_in_parallel(count_cases, names))
    require_enough(len(names) - len(failures), config, min_sites, " ".join(failures))
    for name, count in zip(names, counts, strict=True):
        if count is None and config.method.weights_by_cases:
            raise ConfigError(
                f"Site {name} does not share its number of cases, which "
                f"{config.method.kind} needs as the site's weight.",
                'Use method.weighting = "equal".',
            )
    return [count or 0 for count in counts]
