"""The files that show the progress of a run: ``status.json`` and ``train.log``."""

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import torch

from fedcross.errors import CheckpointError, FedCrossError
from fedcross.runtime.files.atomic import write_atomically
from fedcross.runtime.memory import resident_bytes
from fedcross.runtime.reporting import Reporter
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.run.checkpoint import Best, choose_better
from fedcross.training.run.early_stopping import STOPPED_EARLY
from fedcross.training.run.folder import RunFolder

STATUS, LOG = "status.json", "train.log"
WRITE_INTERVAL_S = 1.0
STOPPED, FAILED, FINISHED, RUNNING = "stopped", "failed", "finished", "running"


class RunMonitor(AbstractContextManager["RunMonitor"]):
    """A reporter that also writes the status and the log of a run into its folder.

    ``status.json`` contains the state, the current stage, round, site, losses, validation, elapsed and
    remaining time, and memory. It is written at the start of a stage and then at most once a second.
    ``train.log`` contains one line with the time per message. The end of the context writes the final
    state.

    Parameters
    ----------
    run
        Run folder; its metrics, also those of earlier rounds, are added to the status.
    config
        The run's configuration.
    reporter
        Receives every stage, progress and message before it is written.
    clock
        Returns a time in seconds that never decreases.
    """

    def __init__(
        self,
        run: RunFolder,
        config: TrainingConfig,
        reporter: Reporter,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run, self._reporter, self._clock = run, reporter, clock
        self._began = self._written = self._stage_began = clock()
        self._first_done: int | None = None
        self._best: Best | None = None
        self._status: dict[str, Any] = {
            "state": RUNNING,
            "doing": "",
            "method": config.method.kind,
            "rounds": config.method.rounds,
            "started": _now(),
        }
        for figures in run.metrics():  # earlier rounds of a resumed run
            self._add_metrics(figures)
        run.listeners.append(self._add_metrics)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        self._run.listeners.remove(self._add_metrics)
        state = FINISHED if kind is None else STOPPED if kind is KeyboardInterrupt else FAILED
        self._status |= {"state": state, "remaining": None}
        if isinstance(error, FedCrossError):
            self._status["problem"] = error.message
        try:
            self._write()
            self._write_log(f"The run {'was ' if state == STOPPED else ''}{state}.")
        except CheckpointError:
            if error is None:
                raise  # otherwise the first error is raised

    def stage(self, name: str, message: str) -> None:
        """Report the stage, and write it to the status and the log."""
        self._reporter.stage(name, message)
        self._stage_began, self._first_done = self._clock(), None
        self._status |= {"doing": message, "done": None, "of": None, "remaining": None}
        self._write_log(message)
        self._write()

    def progress(self, done: int, total: int, stage: str) -> None:
        """Report the progress, and estimate the remaining time from the stage's mean pace."""
        self._reporter.progress(done, total, stage)
        now = self._clock()
        if self._first_done is None:  # steps done before a resumed run started have no duration
            self._first_done, self._stage_began = done, now
        steps = done - self._first_done
        seconds_per_step = (now - self._stage_began) / steps if steps else None
        remaining = (
            None if seconds_per_step is None else _format_span(seconds_per_step * (total - done))
        )
        self._status |= {"done": done, "of": total, "remaining": remaining}
        if now - self._written >= WRITE_INTERVAL_S:
            self._write()

    def log(self, message: str) -> None:
        """Report the message, and write it to the log."""
        self._reporter.log(message)
        self._write_log(message)

    def warning(self, message: str) -> None:
        """Report the warning, and write it to the log."""
        self._reporter.warning(message)
        self._write_log(f"Warning: {message}")

    def _add_metrics(self, figures: dict[str, Any]) -> None:
        """Add one line of the metrics, a visit or a validation, to the status."""
        self._status["round"] = figures["round"]
        self._status.pop(STOPPED_EARLY, None)
        if "validation" in figures:
            if figures.get(STOPPED_EARLY):
                self._status[STOPPED_EARLY] = figures["round"]
            by_site = dict(figures["validation"])
            last = Best(figures["round"], by_site.pop("mean"), by_site)
            self._best = choose_better(self._best, last)
            for which, shown in (("last", last), ("best", self._best)):
                self._status[f"{which}_validation"] = {"round": shown.round, "dice": shown.dice}
        else:
            keys = ("member", "site", "loss", "absent")
            self._status["last_visit"] = {key: figures[key] for key in keys if key in figures}

    def _write(self) -> None:
        self._written = self._clock()
        elapsed = _format_span(self._written - self._began)
        status = {**self._status, "updated": _now(), "elapsed": elapsed, "memory_mb": memory_mb()}
        text = json.dumps(status, indent=2) + "\n"
        path = self._run.path / STATUS
        write_atomically(path, text.encode("utf-8"), error_class=CheckpointError)

    def _write_log(self, message: str) -> None:
        append_log(self._run.path, message)


def append_log(folder: Path, message: str) -> None:
    """Append a message with the time to ``train.log`` in a folder.

    Raises
    ------
    CheckpointError
        If the file cannot be written.
    """
    try:
        with (folder / LOG).open("a", encoding="utf-8") as file:
            file.write(f"{_now()}  {message}\n")
    except OSError as error:
        raise CheckpointError(f"{LOG} cannot be written: {error.strerror}.") from error


def log_message(line: str) -> str:
    """The message of a line of ``train.log``, without the time."""
    return line.partition("  ")[2].rstrip() or line.rstrip()


def memory_mb() -> dict[str, int]:
    """Measure the memory of this process in MB (10^6 bytes).

    Returns
    -------
    dict of str to int
        ``process``: resident memory. ``gpu``: memory of PyTorch's tensors on the
        current GPU, only if there is one.
    """
    held = {"process": resident_bytes() // 10**6}
    if torch.cuda.is_available():
        held["gpu"] = torch.cuda.memory_allocated() // 10**6
    return held


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _format_span(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
