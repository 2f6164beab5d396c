import json
from pathlib import Path
from typing import Any

import pytest

from fedcross.errors import CheckpointError
from fedcross.runtime.reporting import NullReporter
from fedcross.train.config.configuration import TrainingConfig, parse_config
from fedcross.train.run.folder import RunFolder
from fedcross.train.run.monitor import RunMonitor, memory_mb


class Clock:
    """A clock that returns `now`, which the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def config() -> TrainingConfig:
    return parse_config(
        {
            "name": "Monitored",
            "method": {"rounds": 4},
            "preprocessing": {"spacing_mm": [1, 1, 1], "patch_size": [32, 16, 16]},
            "structures": [{"name": "Organ", "label": 1}],
            "sites": [{"name": "s", "images": "i", "labels": "l", "split": [1, 0, 0]}],
        },
        source="monitored",
    )


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def status(run: RunFolder) -> dict[str, Any]:
    return dict(json.loads((run.path / "status.json").read_text(encoding="utf-8")))


def test_the_remaining_time_is_computed_from_the_mean_pace_of_the_stage(
    run: RunFolder, config: TrainingConfig
) -> None:
    clock = Clock()
    with RunMonitor(run, config, NullReporter(), clock) as monitor:
        clock.now = 160.0  # the minute before the stage does not count
        monitor.stage("train", "Training")
        monitor.progress(10, 100, "train")
        clock.now = 180.0
        monitor.progress(20, 100, "train")  # 10 steps in 20 s, 80 remain
        found = status(run)
    assert (found["doing"], found["done"], found["of"]) == ("Training", 20, 100)
    assert (found["remaining"], found["elapsed"]) == ("0:02:40", "0:01:20")
    assert found["state"] == "running"


def test_the_status_is_written_at_most_once_a_second(
    run: RunFolder, config: TrainingConfig
) -> None:
    clock = Clock()
    with RunMonitor(run, config, NullReporter(), clock) as monitor:
        monitor.stage("train", "Training")
        clock.now += 0.9
        monitor.progress(1, 10, "train")
        assert status(run)["done"] is None
        clock.now += 0.2
        monitor.progress(2, 10, "train")
        assert status(run)["done"] == 2


def test_the_status_has_the_last_visit_and_the_last_and_best_validation(
    run: RunFolder, config: TrainingConfig
) -> None:
    with RunMonitor(run, config, NullReporter()) as monitor:
        run.add_metrics(round=1, member=0, site="s", loss=0.5, samples=3, bytes=1, seconds=1)
        run.add_metrics(round=1, validation={"mean": 0.8, "s": 0.8})
        run.add_metrics(round=2, member=0, site="s", loss=0.4, samples=3, bytes=1, seconds=1)
        run.add_metrics(round=2, validation={"mean": 0.7, "s": 0.7})
        monitor.stage("test", "Testing")
        found = status(run)
    assert (found["round"], found["rounds"]) == (2, 4)
    assert found["last_visit"] == {"member": 0, "site": "s", "loss": 0.4}
    assert found["last_validation"] == {"round": 2, "dice": 0.7}
    assert found["best_validation"] == {"round": 1, "dice": 0.8}


def test_the_status_of_a_resumed_run_has_the_best_round_of_before(
    run: RunFolder, config: TrainingConfig
) -> None:
    run.add_metrics(round=1, validation={"mean": 0.8})
    with RunMonitor(run, config, NullReporter()) as monitor:
        run.add_metrics(round=2, validation={"mean": 0.6})
        monitor.stage("test", "Testing")
        assert status(run)["best_validation"] == {"round": 1, "dice": 0.8}


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (None, "finished"),
        (KeyboardInterrupt(), "stopped"),
        (CheckpointError("The disk is full."), "failed"),
    ],
)
def test_status_and_log_have_the_final_state(
    run: RunFolder, config: TrainingConfig, error: BaseException | None, state: str
) -> None:
    def run_to_the_end() -> None:
        with RunMonitor(run, config, NullReporter()) as monitor:
            monitor.log("Round 1/4")
            if error is not None:
                raise error

    if error is None:
        run_to_the_end()
    else:
        with pytest.raises(type(error)):
            run_to_the_end()
    found = status(run)
    assert found["state"] == state
    assert found.get("problem") == ("The disk is full." if state == "failed" else None)
    log = (run.path / "train.log").read_text(encoding="utf-8").splitlines()
    assert log[0].endswith("Round 1/4")
    assert state in log[-1]
    assert run.listeners == []


def test_the_first_error_is_raised_even_if_the_status_cannot_be_written(
    tmp_path: Path, config: TrainingConfig
) -> None:
    run = RunFolder(tmp_path / "gone")
    with pytest.raises(ValueError, match="first"), RunMonitor(run, config, NullReporter()):
        raise ValueError("first")


def test_a_status_that_cannot_be_written_is_reported(
    tmp_path: Path, config: TrainingConfig
) -> None:
    run = RunFolder(tmp_path / "gone")
    with pytest.raises(CheckpointError, match=r"status\.json cannot be written"):
        RunMonitor(run, config, NullReporter()).__exit__(None, None, None)


def test_the_memory_of_this_process_is_plausible() -> None:
    held = memory_mb()
    assert 10 < held.get("process", 100) < 100_000
