"""A run while it is under way: ``status.json`` for people, ``train.log``, and TensorBoard if wanted."""

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import torch

from fedcross.errors import CheckpointError, FedCrossError
from fedcross.runtime.atomic import write_atomically
from fedcross.runtime.memory import resident_bytes
from fedcross.runtime.reporting import Reporter
from fedcross.train.config.configuration import TrainingConfig
from fedcross.train.run.checkpoint import Best, better
from fedcross.train.run.folder import RunFolder

STATUS, LOG = "status.json", "train.log"
EVERY_S = 1.0
STOPPED, FAILED, FINISHED, RUNNING = "stopped", "failed", "finished", "running"


class Watch(AbstractContextManager["Watch"]):
    """A reporter that also writes down what it hears, in the run's folder.

    ``status.json`` says in a person's words where the run stands, rewritten at most once a second:
    what it does, round and site, losses and validation, time gone and time that remains, memory.
    ``train.log`` keeps the lines that the terminal shows. Leaving the context writes how it ended.

    Parameters
    ----------
    run
        Its metrics are heard too.
    config
        Of the run.
    reporter
        Hears everything first.
    clock
        Seconds that only grow.
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
        for figures in run.metrics():  # of the rounds before, when it goes on
            self._hear(figures)
        run.listeners.append(self._hear)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        self._run.listeners.remove(self._hear)
        ending = FINISHED if kind is None else STOPPED if kind is KeyboardInterrupt else FAILED
        self._status |= {"state": ending, "remaining": None}
        if isinstance(error, FedCrossError):
            self._status["problem"] = error.message
        try:
            self._write()
            self._note(f"The run {'was ' if ending == STOPPED else ''}{ending}.")
        except CheckpointError:
            if error is None:
                raise  # else what went wrong first is what a person must hear of

    def stage(self, name: str, message: str) -> None:
        """Pass it on, and say what is done now."""
        self._reporter.stage(name, message)
        self._stage_began, self._first_done = self._clock(), None
        self._status |= {"doing": message, "done": None, "of": None, "remaining": None}
        self._note(message)
        self._write()

    def progress(self, done: int, total: int, stage: str) -> None:
        """Pass it on, and estimate the time that remains from the stage's pace so far."""
        self._reporter.progress(done, total, stage)
        now = self._clock()
        if self._first_done is None:  # where a resumed run goes on counts for no pace
            self._first_done, self._stage_began = done, now
        gone = done - self._first_done
        pace = (now - self._stage_began) / gone if gone else None
        remaining = None if pace is None else _span(pace * (total - done))
        self._status |= {"done": done, "of": total, "remaining": remaining}
        if now - self._written >= EVERY_S:
            self._write()

    def log(self, message: str) -> None:
        """Pass it on, and keep it."""
        self._reporter.log(message)
        self._note(message)

    def _hear(self, figures: dict[str, Any]) -> None:
        """A line of the metrics: a visit or a validation."""
        self._status["round"] = figures["round"]
        if "validation" in figures:
            by_site = dict(figures["validation"])
            here = Best(figures["round"], by_site.pop("mean"), by_site)
            self._best = better(self._best, here)
            for which, told in (("last", here), ("best", self._best)):
                self._status[f"{which}_validation"] = {"round": told.round, "dice": told.dice}
        else:
            keys = ("member", "site", "loss", "absent")
            self._status["last_visit"] = {key: figures[key] for key in keys if key in figures}

    def _write(self) -> None:
        self._written = self._clock()
        elapsed = _span(self._written - self._began)
        told = {**self._status, "updated": _now(), "elapsed": elapsed, "memory_mb": memory_mb()}
        text = json.dumps(told, indent=2) + "\n"
        path = self._run.path / STATUS
        write_atomically(path, text.encode("utf-8"), error_class=CheckpointError)

    def _note(self, message: str) -> None:
        try:
            with (self._run.path / LOG).open("a", encoding="utf-8") as file:
                file.write(f"{_now()}  {message}\n")
        except OSError as error:
            raise CheckpointError(f"{LOG} cannot be written: {error.strerror}.") from error


def memory_mb() -> dict[str, int]:
    """Memory that this process holds now, in MB (10^6 bytes), as far as the system tells.

    ``process`` is its resident memory, see `resident_bytes`; ``gpu`` is what PyTorch's tensors take of
    the GPU in use.
    """
    held = {"process": resident_bytes() // 10**6}
    if torch.cuda.is_available():
        held["gpu"] = torch.cuda.memory_allocated() // 10**6
    return held


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _span(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
