"""A run whose sites are elsewhere, from the first question to the test, as the server leads it."""

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
from fedcross.federate.rounds import Behind, begin, train_rounds
from fedcross.strategies.plan import make_plan
from fedcross.train.config.configuration import TrainingConfig
from fedcross.train.run.export import load_members
from fedcross.train.run.folder import TEST, RunFolder
from fedcross.train.run.monitor import RunMonitor
from fedcross.train.run.opening import open_run


class Sites(SendTask, Protocol):
    """Connections to the sites of a run."""

    def fetch_setups(self) -> Mapping[str, Mapping[str, str]]:
        """Setup of every connected site, see `site_work.describe_setup`, by the site's name."""


def run_remote(config: TrainingConfig, folder: Path, sites: Sites, status: RunStatus) -> None:
    """Begin a run, or go on with it, until it is finished.

    Parameters
    ----------
    config
        Its configuration.
    folder
        Its folder at the server, see `fedcross.train.run.folder`.
    sites
        The way to the sites.
    status
        Receives progress and log lines; its pause request ends the run after a round.

    Raises
    ------
    ConfigError
        If a site differs in version or configuration, none is there, or the method cannot be run
        with what the sites share.
    CheckpointError
        If the folder cannot be used.
    KeyboardInterrupt
        If it was paused; finished rounds are safe.
    """
    with (
        open_run(folder, config, resume=RunFolder(folder).exists) as run,
        RunMonitor(run, config, status) as hear,
    ):
        check_same_setup(describe_setup(config), sites.fetch_setups())
        hear.stage("read", "Waiting for the sites to read their cases")
        cases = _cases(config, sites, hear.log)
        plan = make_plan(config.method, config.network, cases, config.seed)
        run.record_plan({site.name: {} for site in config.sites}, plan.schedule)
        done = begin(config, run).rounds_done
        status.set_rounds_done(done)
        if privacy := describe_privacy(config, plan):
            hear.log(privacy)
        hear.stage("train", f"Training {config.method.title} at {len(config.sites)} sites")
        hear.progress(done, config.method.rounds, "train")
        with Behind(run.checkpoints.save) as save:
            finished = train_rounds(
                config,
                run,
                plan,
                RemoteVisits(config, plan, sites, run, done, hear.log),
                lambda members: validate_remotely(members, config, sites, hear.log),
                hear,
                save=save,
                stop=lambda: status.finish_round(hear),
            )
        if not finished:
            raise KeyboardInterrupt
        hear.stage("test", "Evaluating the best round on the sites' test cases")
        best = load_members(run, "best")
        figures = test_remotely(best.predictors, config, sites, hear.log)
        run.write(TEST, {"round": best.rounds_done, **figures})


def check_same_setup(own: Mapping[str, str], theirs: Mapping[str, Mapping[str, str]]) -> None:
    """Refuse sites with another version or configuration than the server's.

    Raises
    ------
    ConfigError
        Naming the first site that differs, with both values; or if there is no site.
    """
    if not theirs:
        raise ConfigError("No site of the configuration is connected.")
    for site, credential in theirs.items():
        for what, value in own.items():
            other = credential.get(what, "none")
            if other != value:
                raise ConfigError(
                    f"Site {site} differs from the server in {what}: {other} there, {value} here.",
                    "Bring both to the same, then hand the run in again.",
                )


def _cases(config: TrainingConfig, sites: Sites, tell: Callable[[str], None]) -> Sequence[int]:
    """Numbers of training cases; 0 of a site that is not there or does not tell.

    Every site reads its cases to answer.
    """
    names = [site.name for site in config.sites]

    def one(name: str) -> int | None:
        try:
            count: int | None = sites(name, OPEN, [], 0)["cases"]
        except SiteError as error:
            tell(str(error))
            return 0
        return count

    counts = list(map_in_parallel(one, names))
    for name, count in zip(names, counts, strict=True):
        if count is None and config.method.weights_by_cases:
            raise ConfigError(
                f"Site {name} does not tell its number of cases, which "
                f"{config.method.kind} weights by.",
                'Use method.weighting = "equal".',
            )
    return [count or 0 for count in counts]
