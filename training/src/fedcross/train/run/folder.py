"""A run's folder: everything that says what was trained, on what, in which order, how well.

::

    config.json      configuration with all defaults, its hash, package versions
    environment.json  with what it was computed, one entry a start
    splits.json      each site's cases by part
    schedule.json    who trains where, for FedCross
    metrics.jsonl    one line per visit and per validation
    status.json      where the run stands, for people, see `watch`
    train.log        what was said while it ran
    checkpoints/     see `checkpoint`
    test.json        figures on the test cases of the best round, when the run is finished
    run.lock         held while a process works here
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fedcross.errors import CheckpointError, ConfigError
from fedcross.runtime.atomic import make_folder, write_atomically
from fedcross.runtime.lock import folder_lock
from fedcross.runtime.partial import remove_all_hidden
from fedcross.runtime.versions import package_versions
from fedcross.strategies.schedule import Schedule
from fedcross.train.config.configuration import (
    TrainingConfig,
    config_sha256,
    config_values,
    parse_config,
)
from fedcross.train.run.checkpoint import Checkpoints

CONFIG, SPLITS, SCHEDULE = "config.json", "splits.json", "schedule.json"
ENVIRONMENT = "environment.json"
METRICS, TEST, LOCK = "metrics.jsonl", "test.json", "run.lock"


class RunFolder:
    """Records of one run.

    Parameters
    ----------
    path
        The folder. `open_run` makes one, or continues it, for a run that is to train.

    Attributes
    ----------
    listeners
        Called with every line of the metrics, once it is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = Checkpoints(path / "checkpoints")
        self.listeners: list[Callable[[dict[str, Any]], None]] = []

    @property
    def exists(self) -> bool:
        """Whether a run was begun here."""
        return (self.path / CONFIG).is_file()

    def configuration(self) -> TrainingConfig:
        """The run's configuration, with an empty data folder.

        Raises
        ------
        CheckpointError
            If there is no run or its configuration is damaged.
        """
        try:
            return parse_config(self.read(CONFIG)["configuration"], source=CONFIG)
        except (ConfigError, KeyError, TypeError) as error:
            raise CheckpointError(f"{CONFIG} of the run {self.path.name} is damaged.") from error

    def read(self, name: str) -> Any:
        """A record as it was written.

        Raises
        ------
        CheckpointError
            If it is not there or no JSON.
        """
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise CheckpointError(f"{self.path.name} has no {name}: it holds no run.") from error
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{name} of the run {self.path.name} is damaged.") from error

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a record, whole or not at all."""
        self._write(name, json.dumps(content, indent=2) + "\n")

    def _write(self, name: str, text: str) -> None:
        data = text.encode("utf-8")
        write_atomically(self.path / name, data, durable=True, error_class=CheckpointError)

    def record_plan(
        self, splits: Mapping[str, Mapping[str, Sequence[str]]], schedule: Schedule | None
    ) -> None:
        """Write splits and schedule; of a run that is resumed, check that they are the same.

        Methods other than FedCross have no schedule: None.

        Raises
        ------
        CheckpointError
            If a site's cases differ from those that the run began with.
        """
        if (self.path / SPLITS).is_file():
            self.check_cases(splits)
            return
        self.write(SCHEDULE, {"sites": list(splits), "schedule": schedule})
        self.write(SPLITS, splits)

    def check_cases(self, splits: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        """Check that the sites' cases are those of the run.

        Raises
        ------
        CheckpointError
            If a site's cases differ, or the run has none on record.
        """
        before = self.read(SPLITS)
        changed = [site for site in splits if before.get(site) != splits[site]]
        if changed:
            raise CheckpointError(
                f"The cases of {', '.join(changed)} are not those that the run "
                f"{self.path.name} began with.",
                "Bring them back, or begin a new run.",
            )

    def add_environment(self, found: Mapping[str, Any]) -> None:
        """Say with what the run is computed from now on, see `environment`."""
        before = self.read(ENVIRONMENT)["starts"] if (self.path / ENVIRONMENT).is_file() else []
        rounds_done = latest.rounds_done if (latest := self.checkpoints.latest()) else 0
        self.write(ENVIRONMENT, {"starts": [*before, {"rounds_done": rounds_done, **found}]})

    def add_metrics(self, **figures: Any) -> None:
        """Append one line to the metrics; the line's ``round`` counts from 1."""
        try:
            with (self.path / METRICS).open("a", encoding="utf-8") as file:
                file.write(json.dumps(figures) + "\n")
        except OSError as error:
            raise CheckpointError(f"{METRICS} cannot be written: {error.strerror}.") from error
        for listener in self.listeners:
            listener(figures)

    def metrics(self) -> list[dict[str, Any]]:
        """All lines of the metrics but one that was cut short; none before the first."""
        path, lines = self.path / METRICS, []
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            try:
                lines.append(json.loads(line))
            except ValueError:
                continue
        return lines

    def forget_metrics_after(self, rounds_done: int) -> None:
        """Drop the lines of rounds that were not finished, and a line cut short."""
        if (self.path / METRICS).is_file():
            kept = [json.dumps(x) + "\n" for x in self.metrics() if x["round"] <= rounds_done]
            self._write(METRICS, "".join(kept))


@contextmanager
def open_run(path: Path, config: TrainingConfig, *, resume: bool) -> Iterator[RunFolder]:
    """Begin a run in a folder, or continue the one in it, and keep others out meanwhile.

    Raises
    ------
    CheckpointError
        If the folder is in use; holds a run and `resume` is false, or none and it is true; holds
        something else; or the run in it has another configuration (the differing keys are named).
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
        return  # its data could not be used: after putting them right a person tries again
    if run.exists:
        raise CheckpointError(
            f"{run.path.name} already holds a run.", "Add --resume, or choose another folder."
        )
    if any(entry.name != LOCK for entry in run.path.iterdir()):
        raise CheckpointError(
            f"{run.path.name} is not empty and holds no run.", "Choose another folder."
        )


def _check_same(before: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    old, new = dict(_flat(before)), dict(_flat(now))
    changed = [
        f"{key} (was {old.get(key, 'absent')!r}, is {new.get(key, 'absent')!r})"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]
    if changed:
        raise CheckpointError(
            f"The run {path.name} has another configuration: {'; '.join(changed)}.",
            "Resume with the configuration it began with, or begin a new run.",
        )


def _flat(values: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and their values."""
    if isinstance(values, Mapping):
        for name, value in values.items():
            yield from _flat(value, f"{key}.{name}" if key else name)
    elif isinstance(values, list) and any(isinstance(value, Mapping) for value in values):
        for index, value in enumerate(values):
            yield from _flat(value, f"{key}.{index}")
    else:
        yield key, values
