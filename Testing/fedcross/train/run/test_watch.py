import json
from pathlib import Path
from typing import Any

import pytest

from fedcross.errors import CheckpointError
from fedcross.runtime.reporting import NullReporter
from fedcross.train.config.configuration import TrainingConfig, parse_config
from fedcross.train.run.folder import RunFolder
from fedcross.train.run.watch import Watch, memory_mb


class Clock:
    """Stands still until told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def config() -> TrainingConfig:
    return parse_config(
        {
            "name": "Watched",
            "method": {"rounds": 4},
            "preprocessing": {"spacing_mm": [1, 1, 1], "patch_size": [32, 16, 16]},
            "structures": [{"name": "Organ", "label": 1}],
            "sites": [{"name": "s", "images": "i", "labels": "l", "split": [1, 0, 0]}],
        },
        source="watched",
    )


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def status(run: RunFolder) -> dict[str, Any]:
    return dict(json.loads((run.path / "status.json").read_text(encoding="utf-8")))


def test_the_remaining_time_follows_from_the_pace_so_far(
    run: RunFolder, config: TrainingConfig
) -> None:
    clock = Clock()
    with Watch(run, config, NullReporter(), clock) as watch:
        clock.now = 160.0  # a minute of reading says nothing about the training
        watch.stage("train", "Training")
        watch.progress(10, 100, "train")
        clock.now = 180.0
        watch.progress(20, 100, "train")  # 10 steps in 20 s, 80 are left
        told = status(run)
    assert (told["doing"], told["done"], told["of"]) == ("Training", 20, 100)
    assert (told["remaining"], told["elapsed"]) == ("0:02:40", "0:01:20")
    assert told["state"] == "running"


def test_the_status_is_written_once_a_second_at_most(
    run: RunFolder, config: TrainingConfig
) -> None:
    clock = Clock()
    with Watch(run, config, NullReporter(), clock) as watch:
        watch.stage("train", "Training")
        clock.now += 0.9
        watch.progress(1, 10, "train")
        assert status(run)["done"] is None
        clock.now += 0.2
        watch.progress(2, 10, "train")
        assert status(run)["done"] == 2


def test_visits_and_validations_stand_in_the_status(run: RunFolder, config: TrainingConfig) -> None:
    with Watch(run, config, NullReporter()) as watch:
        run.add_metrics(round=1, member=0, site="s", loss=0.5, samples=3, bytes=1, seconds=1)
        run.add_metrics(round=1, validation={"mean": 0.8, "s": 0.8})
        run.add_metrics(round=2, member=0, site="s", loss=0.4, samples=3, bytes=1, seconds=1)
        run.add_metrics(round=2, validation={"mean": 0.7, "s": 0.7})
        watch.stage("test", "Testing")
        told = status(run)
    assert (told["round"], told["rounds"]) == (2, 4)
    assert told["last_visit"] == {"member": 0, "site": "s", "loss": 0.4}
    assert told["last_validation"] == {"round": 2, "dice": 0.7}
    assert told["best_validation"] == {"round": 1, "dice": 0.8}


def test_a_run_that_goes_on_remembers_its_best_round(
    run: RunFolder, config: TrainingConfig
) -> None:
    run.add_metrics(round=1, validation={"mean": 0.8})
    with Watch(run, config, NullReporter()) as watch:
        run.add_metrics(round=2, validation={"mean": 0.6})
        watch.stage("test", "Testing")
        assert status(run)["best_validation"] == {"round": 1, "dice": 0.8}


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (None, "finished"),
        (KeyboardInterrupt(), "stopped"),
        (CheckpointError("The disk is full."), "failed"),
    ],
)
def test_the_status_says_how_it_ended(
    run: RunFolder, config: TrainingConfig, error: BaseException | None, state: str
) -> None:
    def live() -> None:
        with Watch(run, config, NullReporter()) as watch:
            watch.log("Round 1/4")
            if error is not None:
                raise error

    if error is None:
        live()
    else:
        with pytest.raises(type(error)):
            live()
    told = status(run)
    assert told["state"] == state
    assert told.get("problem") == ("The disk is full." if state == "failed" else None)
    log = (run.path / "train.log").read_text(encoding="utf-8").splitlines()
    assert log[0].endswith("Round 1/4")
    assert state in log[-1]
    assert run.listeners == []


def test_what_went_wrong_first_is_told_though_the_status_cannot_be_written(
    tmp_path: Path, config: TrainingConfig
) -> None:
    run = RunFolder(tmp_path / "gone")
    with pytest.raises(ValueError, match="first"), Watch(run, config, NullReporter()):
        raise ValueError("first")


def test_a_status_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, config: TrainingConfig
) -> None:
    run = RunFolder(tmp_path / "gone")
    with pytest.raises(CheckpointError, match=r"status\.json cannot be written"):
        Watch(run, config, NullReporter()).__exit__(None, None, None)


def test_the_memory_of_this_process_is_neither_nothing_nor_everything() -> None:
    held = memory_mb()
    assert 10 < held["process"] < 100_000
