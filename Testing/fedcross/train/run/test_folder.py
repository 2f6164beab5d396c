import json
import os
from pathlib import Path

import pytest

from fedcross.errors import CheckpointError
from fedcross.runtime.partial import PARTIAL, hidden_name
from fedcross.train.config.configuration import TrainingConfig
from fedcross.train.run.folder import RunFolder, open_run


def lines(run: RunFolder) -> list[dict[str, object]]:
    text = (run.path / "metrics.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_a_run_says_what_it_was_configured_with(config: TrainingConfig, run_path: Path) -> None:
    with open_run(run_path, config, resume=False) as run:
        assert run.exists
    again = RunFolder(run_path).configuration()
    assert again == config.model_copy(update={"data_root": again.data_root})
    text = (run_path / "config.json").read_text(encoding="utf-8")
    assert str(config.data_root) not in text


def test_a_second_run_in_the_folder_is_refused_while_the_first_works(
    config: TrainingConfig, run_path: Path
) -> None:
    with (
        open_run(run_path, config, resume=False),
        pytest.raises(CheckpointError, match=f"run is in use by process {os.getpid()}"),
        open_run(run_path, config, resume=True),
    ):
        pass


def test_the_lock_of_a_dead_process_is_no_hindrance(config: TrainingConfig, run_path: Path) -> None:
    run_path.mkdir()
    (run_path / "run.lock").write_text(f"{os.getpid()}\n", encoding="ascii")
    with open_run(run_path, config, resume=False) as run:
        assert run.exists


def test_what_a_killed_process_left_half_written_does_not_hinder_a_run(
    config: TrainingConfig, run_path: Path
) -> None:
    run_path.mkdir()
    hidden_name(PARTIAL, run_path / "config.json").touch()
    with open_run(run_path, config, resume=False) as run:
        assert run.exists
    hidden_name(PARTIAL, run_path / "checkpoints" / "round_0001").mkdir(parents=True)
    with open_run(run_path, config, resume=True) as run:
        assert sorted(path.name for path in run_path.rglob("*")) == [
            "checkpoints",
            "config.json",
            "run.lock",
        ]


def test_an_existing_run_is_not_overwritten(config: TrainingConfig, run_path: Path) -> None:
    with open_run(run_path, config, resume=False) as run:
        run.record_plan({"s0": {"train": ["a"]}}, ((0,),))
    with (
        pytest.raises(CheckpointError, match=r"already holds a run\. Add --resume"),
        open_run(run_path, config, resume=False),
    ):
        pass


def test_a_run_whose_data_were_never_read_is_begun_anew_with_another_configuration(
    config: TrainingConfig, run_path: Path
) -> None:
    with open_run(run_path, config, resume=False):
        pass
    other = config.model_copy(update={"seed": config.seed + 1})
    with open_run(run_path, other, resume=False) as run:
        assert run.configuration().seed == other.seed


def test_a_folder_with_something_else_in_it_is_left_alone(
    config: TrainingConfig, run_path: Path
) -> None:
    run_path.mkdir()
    (run_path / "thesis.tex").touch()
    with (
        pytest.raises(CheckpointError, match="not empty and holds no run"),
        open_run(run_path, config, resume=False),
    ):
        pass


def test_nothing_to_resume_is_said_and_makes_nothing(
    config: TrainingConfig, run_path: Path
) -> None:
    with (
        pytest.raises(CheckpointError, match="no run in run to resume"),
        open_run(run_path, config, resume=True),
    ):
        pass
    assert not run_path.exists()


def test_a_folder_that_cannot_be_made_is_said(config: TrainingConfig, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(CheckpointError, match="run folder run cannot be made: Not a directory"),
        open_run(tmp_path / "file" / "run", config, resume=False),
    ):
        pass


def test_resuming_with_another_configuration_names_what_differs(
    config: TrainingConfig, run_path: Path
) -> None:
    with open_run(run_path, config, resume=False):
        pass
    training = config.training.model_copy(update={"learning_rate": 0.5})
    site = config.sites[1].model_copy(update={"split": (1, 2, 0)})
    other = config.model_copy(update={"training": training, "sites": (config.sites[0], site)})
    with pytest.raises(CheckpointError) as caught, open_run(run_path, other, resume=True):
        pass
    message = str(caught.value)
    assert "training.learning_rate (was 0.01, is 0.5)" in message
    assert "sites.1.split (was [1, 1, 1], is [1, 2, 0])" in message
    assert "momentum" not in message


def test_metrics_of_an_unfinished_round_are_forgotten(
    config: TrainingConfig, run_path: Path
) -> None:
    with open_run(run_path, config, resume=False) as run:
        for number in (1, 1, 2, 3):
            run.add_metrics(round=number, loss=0.5)
        with (run_path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write('{"round": 3, "lo')
        run.forget_metrics_after(2)
        assert [line["round"] for line in lines(run)] == [1, 1, 2]
        run.add_metrics(round=3, loss=0.25)
        assert lines(run)[-1] == {"round": 3, "loss": 0.25}


def test_cases_that_changed_since_the_run_began_are_named(
    config: TrainingConfig, run_path: Path
) -> None:
    before = {"s0": {"train": ["a"]}, "s1": {"train": ["b"]}}
    with open_run(run_path, config, resume=False) as run:
        run.record_plan(before, ((0, 1),))
        run.record_plan(before, ((0, 1),))
        with pytest.raises(CheckpointError, match="cases of s1 are not those"):
            run.record_plan({**before, "s1": {"train": ["c"]}}, ((0, 1),))
    assert run.read("schedule.json") == {"sites": ["s0", "s1"], "schedule": [[0, 1]]}


def test_a_damaged_record_is_said(config: TrainingConfig, run_path: Path) -> None:
    with open_run(run_path, config, resume=False) as run:
        pass
    with pytest.raises(CheckpointError, match=r"run has no splits\.json"):
        run.read("splits.json")
    (run_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"config\.json of the run run is damaged"):
        run.configuration()
