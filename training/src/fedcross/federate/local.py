"""The local engine: all sites in one process, in the schedule's order.

FedCross and FedCrossEns are the same code: FedCross has one member.
"""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch

from fedcross.infer.device import resolve_device
from fedcross.infer.events import NullReporter, Reporter
from fedcross.method.schedule import make_schedule
from fedcross.train.checkpoint import Best, Checkpoint, better
from fedcross.train.config import TrainingConfig
from fedcross.train.evaluation import Validation, evaluate_test, validate
from fedcross.train.export import load_members
from fedcross.train.member import MemberState, new_member
from fedcross.train.run_folder import TEST, RunFolder, open_run
from fedcross.train.seeding import seed_of
from fedcross.train.sites import find_all_cases, load_sites
from fedcross.train.trainer import training_precision, visit
from fedcross.train.volumes import Site


def run_local(
    config: TrainingConfig,
    out: Path,
    *,
    resume: bool = False,
    device: str = "auto",
    reporter: Reporter | None = None,
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
        hear.stage("read", "Reading the sites' cases")
        found = find_all_cases(config)
        for site, cases in zip(config.sites, found, strict=True):
            if cases.unused:
                hear.log(f"{site.name}: {len(cases.unused)} cases are not in the split.")
        schedule = make_schedule(
            config.method.schedule,
            rounds=config.method.rounds,
            sites=len(config.sites),
            members=config.members,
            seed=seed_of("schedule", config.seed),
        )
        names = [site.name for site in config.sites]
        run.record_plan(
            {name: cases.names() for name, cases in zip(names, found, strict=True)}, schedule
        )
        sites = load_sites(config, found, hear)
        hear.stage("train", f"Training {config.members} members at {len(sites)} sites")
        _train(config, run, sites, schedule, target, hear)
        hear.stage("test", "Evaluating the best round on the test cases")
        _test(config, run, sites, target, hear)


def _train(
    config: TrainingConfig,
    run: RunFolder,
    sites: Sequence[Site],
    schedule: Sequence[Sequence[int]],
    device: torch.device,
    reporter: Reporter,
) -> None:
    """The method: in every round every member trains at the site that the schedule names."""
    first, members, best = _start(config, run)
    visits = config.method.rounds * config.members
    for round_index in range(first, config.method.rounds):
        losses = []
        for k, member in enumerate(members):
            site = sites[schedule[round_index][k]]
            before = round_index * config.members + k

            def told(done: int, total: int, before: int = before) -> None:
                reporter.progress(before * total + done, visits * total, "train")

            members[k], report = visit(member, site, round_index, config, device, told)
            losses.append(report.loss)
            run.add_metrics(
                round=round_index + 1,
                member=k,
                site=site.name,
                loss=report.loss,
                samples=report.samples,
                seconds=round(report.seconds, 3),
            )
        rounds_done = round_index + 1
        validation = None
        if rounds_done % config.training.validate_every == 0 or rounds_done == len(schedule):
            validation = validate(members, sites, config, device)
        figures = {}
        if validation is not None:
            best = better(best, rounds_done, validation.mean_dice)
            figures = {"mean": validation.mean_dice, **validation.by_site}
            run.add_metrics(round=rounds_done, validation=figures)
        run.checkpoints.save(Checkpoint(rounds_done, tuple(members), best, figures))
        reporter.log(_line(rounds_done, len(schedule), losses, validation))


def _start(config: TrainingConfig, run: RunFolder) -> tuple[int, list[MemberState], Best | None]:
    """Where the run stands: the rounds done, the members after them, the best round so far."""
    checkpoint = run.checkpoints.latest()
    run.forget_metrics_after(checkpoint.rounds_done if checkpoint else 0)
    if checkpoint is not None:
        return checkpoint.rounds_done, list(checkpoint.members), checkpoint.best
    return 0, [new_member(k, config.network, config.seed) for k in range(config.members)], None


def _line(
    rounds_done: int, rounds: int, losses: Sequence[float | None], validation: Validation | None
) -> str:
    trained = [loss for loss in losses if loss is not None]
    line = f"Round {rounds_done}/{rounds}"
    if trained:
        line += f": loss {sum(trained) / len(trained):.3f}"
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
        chosen.members,
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
