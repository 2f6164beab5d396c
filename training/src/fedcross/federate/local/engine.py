"""The local engine: all sites in one process."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

from fedcross.federate.local.visits import LocalVisits
from fedcross.federate.rounds import train_rounds
from fedcross.runtime.reporting import NullReporter, Reporter
from fedcross.runtime.signals import terminable
from fedcross.strategies.plan import make_plan
from fedcross.train.config.configuration import TrainingConfig
from fedcross.train.data.sites import find_all_cases, load_sites
from fedcross.train.data.splits import SiteCases
from fedcross.train.data.volumes import Site
from fedcross.train.evaluation.testing import evaluate_test
from fedcross.train.evaluation.validation import validate
from fedcross.train.run.environment import describe_environment, training_devices
from fedcross.train.run.export import load_members
from fedcross.train.run.folder import TEST, RunFolder
from fedcross.train.run.monitor import RunMonitor
from fedcross.train.run.opening import open_run
from fedcross.train.run.tensorboard_writer import TensorBoardWriter
from fedcross.train.step.trainer import training_precision


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
    tensorboard: bool = False,
) -> None:
    """Train as the configuration says, validate, and evaluate the best round on the test cases.

    After every round the members are safe in `out`. On a CPU with the same number of threads a run
    that was interrupted, however, and resumed ends with the same members, to the bit.

    Parameters
    ----------
    config
        The configuration.
    out
        Run folder, see `fedcross.train.run.folder`.
    resume
        Continue the run in `out` instead of beginning one.
    device
        ``auto``, ``cpu``, or CUDA devices as ``cuda:0,cuda:1``: several train a member each.
    reporter
        Hears of stages and progress.
    data
        The configuration's cases, if they were read already.
    tensorboard
        Whether to write for TensorBoard too, see `fedcross.train.run.tensorboard_writer`.

    Raises
    ------
    ConfigError, DataError, CheckpointError, DeviceError
        One sentence each.
    KeyboardInterrupt
        On Ctrl-C or SIGTERM; finished rounds are safe.
    """
    devices = training_devices(device)
    for each in devices:
        training_precision(config.training, each)  # refused before anything is read
    with ExitStack() as stack:
        stack.enter_context(terminable())
        run = stack.enter_context(open_run(out, config, resume=resume))
        hear = stack.enter_context(RunMonitor(run, config, reporter or NullReporter()))
        show = stack.enter_context(TensorBoardWriter(run)).show if tensorboard else None
        data = data or read_data(config, hear)
        sites = data.sites
        plan = make_plan(
            config.method, config.network, [len(site.train) for site in sites], config.seed
        )
        names = [site.name for site in config.sites]
        run.record_plan(
            {name: cases.names() for name, cases in zip(names, data.found, strict=True)},
            plan.schedule,
        )
        run.add_environment(describe_environment(devices))
        hear.stage("train", f"Training {config.method.title} at {len(sites)} sites")
        train_rounds(
            config,
            run,
            plan,
            LocalVisits(config, plan, sites, devices, run, hear),
            lambda members: validate(members, sites, config, devices[0], show),
            hear,
        )
        hear.stage("test", "Evaluating the best round on the test cases")
        _test(config, run, sites, devices[0], hear)


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
