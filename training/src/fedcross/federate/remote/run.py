"""A run whose sites are elsewhere, from the first question to the test, as the server leads it."""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from fedcross.errors import ConfigError
from fedcross.federate.privacy.noise import promise
from fedcross.federate.remote.evaluation import test_remotely, validate_remotely
from fedcross.federate.remote.site_work import OPEN, credentials
from fedcross.federate.remote.visits import (
    Ask,
    RemoteVisits,
    SiteError,
    together,
)
from fedcross.federate.rounds import Behind, begin, train_rounds
from fedcross.runtime.reporting import NullReporter, Reporter
from fedcross.strategies.plan import make_plan
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.run.export import load_members
from fedcross.training.run.folder import TEST, RunFolder
from fedcross.training.run.monitor import RunMonitor
from fedcross.training.run.opening import open_run


class Sites(Ask, Protocol):
    """The way to the sites."""

    def greet(self) -> Mapping[str, Mapping[str, str]]:
        """The credentials, see `site_work.credentials`, of every site that is there, by its name."""


class Standing(NullReporter):
    """Where a run stands, for whoever asks while it is under way.

    Parameters
    ----------
    rounds
        Of the run.
    """

    def __init__(self, rounds: int) -> None:
        self._rounds, self._rounds_done = rounds, 0
        self._message = "Waiting for the sites."
        self._pause = threading.Event()

    def log(self, message: str) -> None:
        """Keep what happened last."""
        self._message = message

    def reached(self, rounds_done: int) -> None:
        """Keep how many rounds are done."""
        self._rounds_done = rounds_done

    def told(self) -> dict[str, Any]:
        """What is answered to whoever asks."""
        return {
            "rounds_done": self._rounds_done,
            "rounds": self._rounds,
            "message": self._message,
        }

    def after_round(self, reporter: Reporter) -> bool:
        """Note that one more round is done, and tell `reporter`; whether to end here."""
        self.reached(self._rounds_done + 1)
        reporter.progress(self._rounds_done, self._rounds, "train")
        return self._pause.is_set()

    def pause(self) -> dict[str, Any]:
        """Let the run end after the round under way."""
        self._pause.set()
        return self.told()


def run_remotely(config: TrainingConfig, folder: Path, sites: Sites, standing: Standing) -> None:
    """Begin a run, or go on with it, until it is finished.

    Parameters
    ----------
    config
        Its configuration.
    folder
        Its folder at the server, see `fedcross.training.run.folder`.
    sites
        The way to the sites.
    standing
        Hears where it stands, and says when to pause.

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
        RunMonitor(run, config, standing) as hear,
    ):
        check_alike(credentials(config), sites.greet())
        hear.stage("read", "Waiting for the sites to read their cases")
        cases = _cases(config, sites, hear.log)
        plan = make_plan(config.method, config.network, cases, config.seed)
        run.record_plan({site.name: {} for site in config.sites}, plan.schedule)
        done = begin(config, run).rounds_done
        standing.reached(done)
        if told := promise(config, plan):
            hear.log(told)
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
                stop=lambda: standing.after_round(hear),
            )
        if not finished:
            raise KeyboardInterrupt
        hear.stage("test", "Evaluating the best round on the sites' test cases")
        best = load_members(run, "best")
        figures = test_remotely(best.predictors, config, sites, hear.log)
        run.write(TEST, {"round": best.rounds_done, **figures})


def check_alike(own: Mapping[str, str], theirs: Mapping[str, Mapping[str, str]]) -> None:
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

    counts = list(together(one, names))
    for name, count in zip(names, counts, strict=True):
        if count is None and config.method.weights_by_cases:
            raise ConfigError(
                f"Site {name} does not tell its number of cases, which "
                f"{config.method.kind} weights by.",
                'Use method.weighting = "equal".',
            )
    return [count or 0 for count in counts]
