"""Start a run in a folder, or resume the run in it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fedcross.errors import CheckpointError
from fedcross.runtime.files.atomic import make_folder
from fedcross.runtime.files.lock import folder_lock
from fedcross.runtime.files.partial import remove_all_hidden
from fedcross.runtime.versions import package_versions
from fedcross.training.config.configuration import TrainingConfig, config_sha256, config_values
from fedcross.training.run.folder import CONFIG, LOCK, SPLITS, RunFolder


@contextmanager
def open_run(path: Path, config: TrainingConfig, *, resume: bool) -> Iterator[RunFolder]:
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

    Raises
    ------
    CheckpointError
        If the folder is used by another process or cannot be created; if it has no run to resume, or
        has a run or other files and `resume` is false; or if the run has another configuration (the
        message names the keys that differ).
    """
    run = RunFolder(path)
    if resume and not run.exists:
        raise CheckpointError(f"There is no run in {path.name} to resume.")
    make_folder(path, error_class=CheckpointError, subject=f"The run folder {path.name}")
    with folder_lock(path / LOCK):
        for folder in (path, run.checkpoints.folder):
            remove_all_hidden(folder)
        if resume:
            _check_same(config_values(run.configuration()), config_values(config), path)
        else:
            _check_empty(run)
            run.write(
                CONFIG,
                {
                    "configuration": config_values(config),
                    "sha256": config_sha256(config),
                    "packages": package_versions(),
                },
            )
        yield run


def _check_empty(run: RunFolder) -> None:
    if run.exists and not (run.path / SPLITS).is_file():
        return  # the run ended before its data were read
    if run.exists:
        raise CheckpointError(
            f"{run.path.name} already holds a run.", "Add --resume, or choose another folder."
        )
    if any(entry.name != LOCK for entry in run.path.iterdir()):
        raise CheckpointError(
            f"{run.path.name} is not empty and holds no run.", "Choose another folder."
        )


def _check_same(before: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    if "augmentation" in now and "augmentation" not in before:
        raise CheckpointError(
            f"The run {path.name} trains with the augmentation preset paper, as all runs of earlier "
            f"versions; the configuration asks for {now['augmentation']['preset']}.",
            'Set preset = "paper" in [augmentation] and keep = "best" in [training] to resume it.',
        )
    old, new = dict(_flat(before)), dict(_flat(now))
    changed = [
        f"{key} (was {old.get(key, 'absent')!r}, is {new.get(key, 'absent')!r})"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]
    if changed:
        raise CheckpointError(
            f"The run {path.name} has another configuration: {'; '.join(changed)}.",
            "Resume with the original configuration, or start a new run.",
        )


def _flat(values: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) for all values of nested mappings and of lists of mappings."""
    if isinstance(values, Mapping):
        for name, value in values.items():
            yield from _flat(value, f"{key}.{name}" if key else name)
    elif isinstance(values, list) and any(isinstance(value, Mapping) for value in values):
        for index, value in enumerate(values):
            yield from _flat(value, f"{key}.{index}")
    else:
        yield key, values
