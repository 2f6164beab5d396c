"""The local engine: all sites in one process."""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from types import FrameType

import torch

from fedcross.federate.plan import Plan, make_plan
from fedcross.federate.soup import blended
from fedcross.federate.strategies import STRATEGIES, first_members
from fedcross.federate.visits import LocalVisits
from fedcross.infer.device import resolve_device
from fedcross.infer.events import NullReporter, Reporter
from fedcross.train.checkpoint import Checkpoint, better
from fedcross.train.config import TrainingConfig
from fedcross.train.evaluation import Validation, evaluate_test, validate
from fedcross.train.export import load_members
from fedcross.train.method_config import TITLES
from fedcross.train.run_folder import TEST, RunFolder, open_run
from fedcross.train.sites import find_all_cases, load_sites
from fedcross.train.splits import SiteCases
from fedcross.train.trainer import training_precision
from fedcross.train.volumes import Site


@dataclass(frozen=True)
class FederationData:
    """The cases of all sites.

    Attributes
    ----------
    found
        Which cases, and how they are split; in the configuration's order.
    sites
        The same in memory.
    """

    found: Sequence[SiteCases]
    sites: Sequence[Site]


def read_data(config: TrainingConfig, reporter: Reporter) -> FederationData:
    """Find, read and preprocess what all sites of a configuration train and validate with.

    Raises
    ------
    DataError
        One sentence about the first case that cannot be used.
    """
    reporter.stage("read", "Reading the sites' cases")
    found = find_all_cases(config)
    for site, cases in zip(config.sites, found, strict=True):
        if cases.unused:
            reporter.log(f"{site.name}: {len(cases.unused)} cases are not in the split.")
        for note in cases.notes:
            reporter.log(f"{site.name}: {note}")
    return FederationData(found, load_sites(config, found, reporter))


def run_local(
    config: TrainingConfig,
    out: Path,
    *,
    resume: bool = False,
    device: str = "auto",
    reporter: Reporter | None = None,
    data: FederationData | None = None,
) -> None:
    """Train as the configuration says, validate, and evaluate the best round on the test cases.

    After every round the members are safe in `out`. On a CPU with the same number of threads a run
    that was interrupted, however, and resumed ends with the same members, to the bit.

    Parameters
    ----------
    config
        The configuration.
    out
        Run folder, see `fedcross.train.run_folder`.
    resume
        Continue the run in `out` instead of beginning one.
    device
        ``auto``, ``cpu`` or ``cuda:N``.
    reporter
        Hears of stages and progress.
    data
        The configuration's cases, if they were read already.

    Raises
    ------
    ConfigError, DataError, CheckpointError, DeviceError
        One sentence each.
    KeyboardInterrupt
        On Ctrl-C or SIGTERM; finished rounds are safe.
    """
    hear = reporter or NullReporter()
    target = resolve_device(device)
    training_precision(config.training, target)  # refused before anything is read
    with _terminable(), open_run(out, config, resume=resume) as run:
        data = data or read_data(config, hear)
        sites = data.sites
        plan = make_plan(config, [len(site.train) for site in sites])
        names = [site.name for site in config.sites]
        run.record_plan(
            {name: cases.names() for name, cases in zip(names, data.found, strict=True)},
            plan.schedule,
        )
        title = TITLES[config.method.kind]
        hear.stage("train", f"Training {title} at {len(sites)} sites")
        _train(config, run, plan, sites, target, hear)
        hear.stage("test", "Evaluating the best round on the test cases")
        _test(config, run, sites, target, hear)


def _train(
    config: TrainingConfig,
    run: RunFolder,
    plan: Plan,
    sites: Sequence[Site],
    device: torch.device,
    reporter: Reporter,
) -> None:
    """Run the strategy; after every round validate and bring to safety."""
    done = _start(config, run)
    visits = LocalVisits(config, plan, sites, device, run, reporter)
    rounds = range(done.rounds_done, config.method.rounds)
    strategy = STRATEGIES[config.method.kind](done.members, plan, visits, rounds)
    for rounds_done, members in enumerate(strategy, start=done.rounds_done + 1):
        averages = blended(done.averages, members, config.method, rounds_done)
        validation = None
        if rounds_done % config.training.validate_every == 0 or rounds_done == config.method.rounds:
            validation = validate(averages or members, sites, config, device)
        best, figures = done.best, {}
        if validation is not None:
            best = better(best, rounds_done, validation.mean_dice)
            figures = {"mean": validation.mean_dice, **validation.by_site}
            run.add_metrics(round=rounds_done, validation=figures)
        done = Checkpoint(rounds_done, members, best, figures, averages)
        run.checkpoints.save(done)
        reporter.log(_line(rounds_done, config.method.rounds, visits.losses, validation))


def _start(config: TrainingConfig, run: RunFolder) -> Checkpoint:
    """Where the run stands: its last finished round, or, in no checkpoint yet, round 0."""
    done = run.checkpoints.latest() or Checkpoint(0, first_members(config), None, {})
    run.forget_metrics_after(done.rounds_done)
    return done


def _line(
    rounds_done: int, rounds: int, losses: Sequence[float], validation: Validation | None
) -> str:
    line = f"Round {rounds_done}/{rounds}"
    if losses:
        line += f": loss {fmean(losses):.3f}"
    if validation is not None:
        line += f", validation Dice {validation.mean_dice:.3f}"
    return line


def _test(
    config: TrainingConfig,
    run: RunFolder,
    sites: Sequence[Site],
    device: torch.device,
    reporter: Reporter,
) -> None:
    chosen = load_members(run, "best")
    figures = evaluate_test(
        chosen.predictors,
        sites,
        config,
        device,
        lambda done, total: reporter.progress(done, total, "test"),
    )
    run.write(TEST, {"round": chosen.rounds_done, **figures})


@contextmanager
def _terminable() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C, where signals can be handled."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
