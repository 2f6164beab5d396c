"""The local engine: all sites in one process."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

from fedcross.contract.plain_text import counted
from fedcross.federate.local.visits import LocalVisits
from fedcross.federate.rounds import Engine, train_rounds
from fedcross.runtime.plugins import allow_plugins
from fedcross.runtime.reporting import NullReporter, Reporter
from fedcross.runtime.signals import interrupt_on_terminate
from fedcross.strategies.plan import Plan, make_plan
from fedcross.training.config.augmentation import note_unused
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.data.sites import find_all_cases, load_sites
from fedcross.training.data.splits import SiteCases
from fedcross.training.data.volumes import Site
from fedcross.training.evaluation.testing import evaluate_test
from fedcross.training.evaluation.validation import validate
from fedcross.training.run.continuation import (
    continue_configuration,
    list_stages,
    record_plan,
)
from fedcross.training.run.doubts import doubt_choice, doubt_patch, doubt_structures
from fedcross.training.run.environment import describe_environment, training_devices
from fedcross.training.run.export import load_members
from fedcross.training.run.folder import TEST, RunFolder
from fedcross.training.run.monitor import RunMonitor
from fedcross.training.run.opening import open_run
from fedcross.training.run.tensorboard_writer import TensorBoardWriter
from fedcross.training.step.custom_check import try_custom_parts
from fedcross.training.step.precision import training_precision


@dataclass(frozen=True)
class FederationData:
    """The cases of all sites, in the configuration's order.

    Attributes
    ----------
    cases
        Files of each site's cases, split into training, validation and test.
    sites
        Each site with its training and validation cases in memory.
    """

    cases: Sequence[SiteCases]
    sites: Sequence[Site]


def read_data(config: TrainingConfig, reporter: Reporter) -> FederationData:
    """Find and split the cases of all sites; read and preprocess those for training and validation.

    Raises
    ------
    DataError
        Names the first case that cannot be used.
    """
    reporter.stage("read", "Reading the sites' cases")
    all_cases = find_all_cases(config)
    for site, cases in zip(config.sites, all_cases, strict=True):
        if cases.unused:
            reporter.log(f"{site.name}: {len(cases.unused)} cases are not in the split.")
        for note in cases.notes:
            reporter.log(f"{site.name}: {note}")
    return FederationData(all_cases, load_sites(config, all_cases, reporter))


def run_local(
    config: TrainingConfig,
    out: Path,
    *,
    resume: bool = False,
    device: str = "auto",
    reporter: Reporter | None = None,
    data: FederationData | None = None,
    tensorboard: bool = False,
    extend: bool = True,
) -> None:
    """Train, validate, and evaluate the round that is kept on the test cases.

    After every round a checkpoint is written. On a CPU with the same number of threads, a run that was
    interrupted at any moment and resumed ends with the same members, bit for bit.

    Parameters
    ----------
    config
        The configuration.
    out
        Run folder, see `fedcross.training.run.folder`.
    resume
        Continue the run in `out` instead of beginning one.
    device
        ``auto``, ``cpu``, or CUDA devices as ``cuda:0,cuda:1``; with several, each trains a member.
    reporter
        Receives stages, progress and log lines; None for no reports.
    data
        The configuration's cases, if they were read before; None reads them.
    tensorboard
        Also write event files, see `fedcross.training.run.tensorboard_writer`.
    extend
        Whether a resumed run may get more rounds or sites, see `fedcross.training.run.continuation`.

    Raises
    ------
    ConfigError
        If the method or precision cannot be used, or the loss or the weights become infinite.
    DataError
        If a case cannot be used.
    CheckpointError
        If the run folder cannot be used or a checkpoint cannot be written.
    DeviceError
        If a device does not exist, or its memory does not suffice.
    PluginError
        If a part of the configuration is code of another package that is not installed, not allowed,
        or does not work.
    KeyboardInterrupt
        On Ctrl-C or SIGTERM; the checkpoints of finished rounds remain.
    """
    allow_plugins(*config.plugins)
    try_custom_parts(config)
    devices = training_devices(device)
    for each in devices:
        training_precision(config, each)  # raises before any case is read
    with ExitStack() as stack:
        stack.enter_context(interrupt_on_terminate())
        run = stack.enter_context(open_run(out, config, resume=resume, extend=extend))
        config = continue_configuration(run, config)
        monitor = stack.enter_context(RunMonitor(run, config, reporter or NullReporter()))
        show = stack.enter_context(TensorBoardWriter(run)).show if tensorboard else None
        data = data or read_data(config, monitor)
        sites = data.sites
        plan = _plan(config, run, data)
        run.add_environment(describe_environment(devices))
        if unused := note_unused(config.augmentation, config.training):
            monitor.log(unused)
        shapes = (volume.label.shape for site in sites for volume in site.train)
        for doubt in (
            doubt_patch(((x, y, z) for z, y, x in shapes), config.preprocessing.patch_size),
            doubt_choice(config.training.keep, sum(len(site.validation) for site in sites)),
            doubt_structures(_undrawn(config, sites)),
        ):
            if doubt is not None:
                monitor.warning(doubt)
        place = counted(len(sites), "site")
        monitor.stage("train", f"Training {config.method.title} at {place}")
        engine = Engine(
            visits=LocalVisits(config, plan, sites, devices, run, monitor),
            validate=lambda members: validate(members, sites, config, devices[0], show),
            save=run.checkpoints.save,
        )
        train_rounds(config, run, plan, engine, monitor)
        if any(site.test for site in sites):
            monitor.stage("test", "Evaluating the round that is kept on the test cases")
        _test(config, run, sites, devices[0], monitor)


def _undrawn(config: TrainingConfig, sites: Sequence[Site]) -> list[str]:
    """The names of the structures that no training case has."""
    labels = [volume.label for site in sites for volume in site.train]
    return [
        structure.name
        for structure in config.structures
        if not any(bool((label == structure.label).any()) for label in labels)
    ]


def _plan(config: TrainingConfig, run: RunFolder, data: FederationData) -> Plan:
    """Plan the run and record the plan."""
    cases = [len(site.train) for site in data.sites]
    stages = list_stages(run, config)
    plan = make_plan(config.method, config.network, cases, config.seed, stages)
    names = [site.name for site in config.sites]
    splits = {name: found.names() for name, found in zip(names, data.cases, strict=True)}
    record_plan(run, config, splits, plan.schedule)
    return plan


def _test(
    config: TrainingConfig,
    run: RunFolder,
    sites: Sequence[Site],
    device: torch.device,
    reporter: Reporter,
) -> None:
    """Evaluate the round that is kept on the test cases and write the figures into the run folder."""
    kept = load_members(run, "kept")
    figures = evaluate_test(
        kept.predictors,
        sites,
        config,
        device,
        lambda done, total: reporter.progress(done, total, "test"),
    )
    run.write(TEST, {"round": kept.rounds_done, **figures})
