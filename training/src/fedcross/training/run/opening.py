"""Start a run in a folder, or resume the run in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedcross.errors import CheckpointError
from fedcross.runtime.files.folders import make_folder
from fedcross.runtime.files.lock import folder_lock
from fedcross.runtime.files.partial import remove_all_hidden
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.run.continuation import continue_configuration
from fedcross.training.run.difference import require_same
from fedcross.training.run.folder import (
    CONFIG,
    LOCK,
    PLAN,
    SPLITS,
    RunFolder,
    describe_configuration,
)
from fedcross.training.run.start import adopt_start, check_start


@contextmanager
def open_run(
    path: Path, config: TrainingConfig, *, resume: bool, extend: bool = False
) -> Iterator[RunFolder]:
    """Start a run in a folder or resume the one in it; the folder is locked inside the context.

    Parameters
    ----------
    path
        Run folder; created if it does not exist.
    config
        The run's configuration; for `resume` equal to the run's.
    resume
        Whether to resume the run in the folder. A run that never read its data is started again
        without it.
    extend
        Whether a resumed run may go on with more rounds or sites than it was begun with; see
        `fedcross.training.run.continuation`.

    Raises
    ------
    CheckpointError
        If the folder is used by another process or cannot be created; if it has no run to resume, or
        has a run or other files and `resume` is false; or if the run has another configuration (the
        message names the keys that differ).
    ConfigError, BundleError
        If a new run cannot begin from the bundle of ``[start]``.
    """
    run = RunFolder(path)
    if resume and not run.exists:
        raise CheckpointError(f"There is no run in {path.name} to resume.")
    if not resume and not run.exists:
        try:
            _check_begin(path, config)  # before a folder is made
        except CheckpointError:
            if not (path / LOCK).exists():
                raise
            # Another process may be beginning a run there; the check under the lock decides.
    make_folder(path, error_class=CheckpointError, subject=f"The run folder {path.name}")
    with folder_lock(path / LOCK):
        for folder in (path, run.checkpoints.folder):
            remove_all_hidden(folder)
        if resume and extend and (path / SPLITS).is_file():
            continue_configuration(run, config)
        elif resume:
            recorded = run.configuration()
            require_same(recorded, adopt_start(config, recorded), path.name, may_grow=extend)
        else:
            _check_begin(path, config)  # again: another process may have begun a run
            run.write(CONFIG, describe_configuration(config))
        yield run


def _check_begin(path: Path, config: TrainingConfig) -> None:
    check_new(path)
    check_start(config)


def check_new(path: Path) -> None:
    """Check that a run can be started in a folder; it need not exist.

    Raises
    ------
    CheckpointError
        If the folder holds a run that has read its data, or other files.
    """
    run = RunFolder(path)
    if run.exists and not (run.path / SPLITS).is_file():
        return  # the run ended before its data were read
    if run.exists:
        raise CheckpointError(
            f"{run.path.name} already holds a run.", "Add --resume, or choose another folder."
        )
    if path.is_dir() and any(entry.name not in (LOCK, PLAN) for entry in path.iterdir()):
        raise CheckpointError(
            f"{run.path.name} is not empty and holds no run.", "Choose another folder."
        )
