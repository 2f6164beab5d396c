"""The folder of a run, with its configuration, data splits, schedule, figures and checkpoints.

::

    config.json       configuration with all defaults, its hash, package versions, and the earlier ones
                      of a run that got more rounds or sites
    plan.toml         completed configuration, if the run began with one that a plan completed
    environment.json  software and devices, one entry per start of the run
    splits.json       the cases of each site by part
    schedule.json     the site of every member in every round, for FedCross
    metrics.jsonl     one line per visit and per validation
    status.json       current state of the run, see `fedcross.training.run.monitor`
    train.log         messages of the run with their times
    checkpoints/      members after a round, see `fedcross.training.run.checkpoint`
    test.json         figures of the round that is kept on the test cases, written at the end
    run.lock          locked by the process that writes to the folder
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fedcross.contract.parse import parse_json
from fedcross.errors import CheckpointError, ConfigError
from fedcross.runtime.files.atomic import write_atomically
from fedcross.strategies.schedule import Schedule
from fedcross.training.config.configuration import (
    TrainingConfig,
    config_sha256,
    config_values,
    parse_config,
)
from fedcross.training.config.custom_parts import used_packages
from fedcross.training.run.checkpoint import Checkpoints

CONFIG, SPLITS, SCHEDULE = "config.json", "splits.json", "schedule.json"
ENVIRONMENT, PLAN = "environment.json", "plan.toml"
METRICS, TEST, LOCK = "metrics.jsonl", "test.json", "run.lock"


class RunFolder:
    """Reads and writes the files of one run.

    Parameters
    ----------
    path
        The folder; it need not exist. To train, use
        `fedcross.training.run.opening.open_run`.

    Attributes
    ----------
    listeners
        Functions that are called with every line of the metrics after it was written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = Checkpoints(path / "checkpoints")
        self.listeners: list[Callable[[dict[str, Any]], None]] = []

    @property
    def exists(self) -> bool:
        """Whether the folder contains a run."""
        return (self.path / CONFIG).is_file()

    def configuration(self) -> TrainingConfig:
        """Read the run's configuration; its data folder and its cache are not stored.

        Raises
        ------
        CheckpointError
            If there is no run, or its configuration is damaged.
        """
        try:
            return parse_config(self.read(CONFIG)["configuration"], source=CONFIG, is_record=True)
        except (ConfigError, KeyError, TypeError) as error:
            raise CheckpointError(f"{CONFIG} of the run {self.path.name} is damaged.") from error

    def history(self) -> list[dict[str, Any]]:
        """Return the earlier configurations of a run that got more rounds or sites, oldest first.

        Every entry has ``configuration``, ``sha256`` and ``packages`` as ``config.json`` had them,
        ``rounds_done`` (number of finished rounds when the run got another configuration) and ``test``
        (content of ``test.json`` at that time, or None).

        Raises
        ------
        CheckpointError
            If there is no run, or its configuration is damaged.
        """
        history: list[dict[str, Any]] = self.read(CONFIG).get("history", [])
        return history

    @property
    def continued_at(self) -> int:
        """Number of rounds after which the run last got more rounds or sites; 0 if it did not."""
        history = self.history() if self.exists else []
        return int(history[-1]["rounds_done"]) if history else 0

    def read(self, name: str) -> Any:
        """Read a JSON file of the run.

        Raises
        ------
        CheckpointError
            If the file does not exist or is not valid JSON.
        """
        try:
            return parse_json((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise CheckpointError(f"{self.path.name} has no {name}: it holds no run.") from error
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{name} of the run {self.path.name} is damaged.") from error

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file of the run atomically."""
        self._write(name, json.dumps(content, indent=2) + "\n")

    def _write(self, name: str, text: str) -> None:
        data = text.encode("utf-8")
        write_atomically(self.path / name, data, durable=True, error_class=CheckpointError)

    def record_plan(
        self, splits: Mapping[str, Mapping[str, Sequence[str]]], schedule: Schedule | None
    ) -> None:
        """Write splits and schedule; for a resumed run, check instead that the cases are the same.

        Parameters
        ----------
        splits
            Site to its cases' names by part.
        schedule
            Rounds x members table of site indices; None for methods without a schedule.

        Raises
        ------
        CheckpointError
            If the cases of a resumed run have changed.
        """
        if (self.path / SPLITS).is_file():
            self.check_cases(splits)
            return
        self.write(SCHEDULE, {"sites": list(splits), "schedule": schedule})
        self.write(SPLITS, splits)

    def check_cases(self, splits: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        """Check that the given sites have the same cases as in ``splits.json``.

        Raises
        ------
        CheckpointError
            If a site's cases differ, or there is no valid ``splits.json``.
        """
        before = self.read(SPLITS)
        changed = [site for site in splits if before.get(site) != splits[site]]
        if changed:
            raise CheckpointError(
                f"The cases of {', '.join(changed)} have changed since the start of the run "
                f"{self.path.name}.",
                "Restore them, or start a new run.",
            )

    def add_environment(self, found: Mapping[str, Any]) -> None:
        """Add an entry for this start of the run to ``environment.json``.

        Parameters
        ----------
        found
            The description, see `describe_environment`.
        """
        before = self.read(ENVIRONMENT)["starts"] if (self.path / ENVIRONMENT).is_file() else []
        rounds_done = latest.rounds_done if (latest := self.checkpoints.latest()) else 0
        self.write(ENVIRONMENT, {"starts": [*before, {"rounds_done": rounds_done, **found}]})

    def add_metrics(self, **figures: Any) -> None:
        """Append one line to the metrics and call the listeners.

        Parameters
        ----------
        **figures
            Content of the line; ``round`` is required and counts from 1.

        Raises
        ------
        CheckpointError
            If the file cannot be written.
        """
        try:
            with (self.path / METRICS).open("a", encoding="utf-8") as file:
                file.write(json.dumps(figures) + "\n")
        except OSError as error:
            raise CheckpointError(f"{METRICS} cannot be written: {error.strerror}.") from error
        for listener in self.listeners:
            listener(figures)

    def metrics(self) -> list[dict[str, Any]]:
        """All complete lines of the metrics, without damaged ones; empty if there is no file."""
        path, lines = self.path / METRICS, []
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        for line in text.splitlines():
            try:
                figures = parse_json(line)
            except ValueError:
                continue
            if isinstance(figures, dict) and isinstance(figures.get("round"), int):
                lines.append(figures)
        return lines

    def drop_metrics_after(self, rounds_done: int) -> None:
        """Delete the lines of rounds after `rounds_done`, and an incomplete line."""
        if (self.path / METRICS).is_file():
            kept = [json.dumps(x) + "\n" for x in self.metrics() if x["round"] <= rounds_done]
            self._write(METRICS, "".join(kept))


def describe_configuration(config: TrainingConfig) -> dict[str, Any]:
    """Return what a run records of its configuration: all options, their hash, and the packages."""
    return {
        "configuration": config_values(config),
        "sha256": config_sha256(config),
        "packages": used_packages(config),
    }
