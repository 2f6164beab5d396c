"""The functions of `import fedcross` that train, export, compare and open bundles.

Paths may be text. PyTorch is imported in the functions that need it. `fedcross.segment` is in
`fedcross.infer.in_memory`, `fedcross.plan` in `fedcross.federate.planning`, `fedcross.calibrate` in
`fedcross.calibration.calibrate`, `fedcross.profile` in `fedcross.calibration.profile_bundle`.
"""

from collections.abc import Sequence
from pathlib import Path

from fedcross.model import bundle as bundles
from fedcross.model.bundle import Bundle
from fedcross.runtime.reporting import NullReporter, Reporter
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.source import ConfigSource, PathLike, load_source


def open_bundle(path: PathLike) -> Bundle:
    """Open a bundle; a context manager.

    Parameters
    ----------
    path
        Bundle folder or ``.zip``, which is unpacked to a temporary folder until the end of the context.

    Returns
    -------
    Bundle
        ``manifest`` describes the ensemble: its structures, its members and their training. Member k
        is checked and loaded by ``load_member(k)``, a PyTorch module in evaluation mode.

    Raises
    ------
    BundleError
        If there is none, it is unsafe, or its manifest is not one that this version reads.
    """
    return bundles.open_bundle(Path(path))


def load_config(
    config: ConfigSource,
    *,
    data_root: PathLike | None = None,
    cache: PathLike | None = None,
    start: PathLike | None = None,
) -> TrainingConfig:
    """Read and check a training configuration.

    Parameters
    ----------
    config
        TOML file; a mapping with the same keys, whose paths are relative to the current folder; or a
        configuration, whose paths may be changed here.
    data_root
        Folder that the sites' paths are relative to; None is what the configuration names, by default
        the folder of the file.
    cache
        Folder that keeps preprocessed cases for later runs; None is what the configuration names.
    start
        Bundle whose members the run begins from; None is what the configuration names.

    Raises
    ------
    ConfigError
        If the file cannot be read, or a key or a value is wrong.
    """
    return load_source(config, data_root, cache, start)


def train(
    config: ConfigSource,
    out: PathLike,
    *,
    resume: bool = False,
    device: str = "auto",
    data_root: PathLike | None = None,
    cache: PathLike | None = None,
    start: PathLike | None = None,
    tensorboard: bool = False,
    reporter: Reporter | None = None,
) -> Path:
    """Train the models of a federation on this machine, as the configuration describes it.

    Parameters
    ----------
    config, data_root, cache, start
        See `load_config`. If the configuration has neither spacing nor patch size, it trains with the
        plan that `fedcross.plan` makes for the same device.
    out
        Run folder to make.
    resume
        Whether to continue the run in `out` after its last finished round. The configuration may have
        more rounds, and more sites at the end, than before.
    device
        ``auto``, ``cpu``, or GPUs: ``cuda:0``, or ``cuda:0,cuda:1`` for a member on each.
    tensorboard
        Whether to write the folder ``tensorboard`` of the run, too.
    reporter
        Receives stages and progress; None reports nothing.

    Returns
    -------
    Path
        The run folder. ``test.json`` in it holds the Dice on the test cases.

    Raises
    ------
    ConfigError, DataError, CheckpointError, DeviceError
        If configuration, data, run folder or device cannot be used: one sentence.
    """
    from fedcross.federate.engines import run_training
    from fedcross.federate.planning import plan_if_open

    out, reporter = Path(out), reporter or NullReporter()
    loaded = plan_if_open(
        config,
        out,
        resume=resume,
        device=device,
        data_root=data_root,
        cache=cache,
        start=start,
        tensorboard=tensorboard,
        reporter=reporter,
    )
    run_training(
        loaded, out, resume=resume, device=device, reporter=reporter, tensorboard=tensorboard
    )
    return out


def export(
    run: PathLike,
    bundle: PathLike,
    *,
    which: str = "kept",
    members: Sequence[int] | None = None,
) -> Bundle:
    """Make a bundle of a run's members.

    Parameters
    ----------
    run
        Run folder, finished or not.
    bundle
        Bundle folder to make; a bundle that is there is replaced.
    which
        ``last``: the last finished round. ``best``: the round with the highest validation Dice, or
        the last one if nothing was validated. ``kept``: the one of these that the run's option
        ``training.keep`` names.
    members
        Numbers of the members of the bundle, from 0; None is all. A bundle of one member segments in
        a fraction of the time and has no spread.

    Raises
    ------
    CheckpointError
        If there is no run, no finished round, or its files are damaged.
    ConfigError
        If `which` is none of these, or `members` names a member twice or one that does not exist.
    OutputError
        If the bundle cannot be written.
    """
    from fedcross.training.run.export import export_run

    return export_run(Path(run), Path(bundle), which=which, members=members)


def compare(
    config: ConfigSource,
    out: PathLike,
    *,
    methods: str | Sequence[str] | None = None,
    seeds: int = 3,
    device: str = "auto",
    data_root: PathLike | None = None,
    cache: PathLike | None = None,
    reporter: Reporter | None = None,
) -> Path:
    """Train several methods on the same splits and budget, and compare them on one page.

    Finished runs in `out` are kept, and an interrupted one is continued.

    Parameters
    ----------
    config, data_root, cache
        See `load_config`; the configuration's rounds and local epochs are the budget.
    out
        Folder for the runs, the tables and the page.
    methods
        Names, in a sequence or with commas between; options after a colon, such as
        ``fedprox:mu=0.1``. None compares all methods.
    seeds
        Runs of each method, 1 or more.
    device
        ``auto``, ``cpu``, or a GPU such as ``cuda:0``.
    reporter
        Receives stages and progress; None reports nothing.

    Returns
    -------
    Path
        The page, HTML; ``comparison.csv`` beside it holds the numbers.

    Raises
    ------
    ConfigError, DataError, CheckpointError, DeviceError
        If something cannot be used: one sentence. Finished runs are kept.
    """
    from fedcross.study.compare.compare import compare as run_comparison
    from fedcross.study.compare.variants import DEFAULT_METHODS

    names = DEFAULT_METHODS if methods is None else methods
    return run_comparison(
        load_config(config, data_root=data_root, cache=cache),
        Path(out),
        methods=names if isinstance(names, str) else ",".join(names),
        seeds=seeds,
        device=device,
        reporter=reporter,
    )
