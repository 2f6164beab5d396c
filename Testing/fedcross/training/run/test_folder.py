import json
from pathlib import Path

import pytest

from fedcross.errors import CheckpointError
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.run.folder import RunFolder
from fedcross.training.run.opening import open_run


def lines(run: RunFolder) -> list[dict[str, object]]:
    text = (run.path / "metrics.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_metrics_of_an_unfinished_round_are_deleted(config: TrainingConfig, run_path: Path) -> None:
    with open_run(run_path, config, resume=False) as run:
        for number in (1, 1, 2, 3):
            run.add_metrics(round=number, loss=0.5)
        with (run_path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write('{"round": 3, "lo')
        run.drop_metrics_after(2)
        assert [line["round"] for line in lines(run)] == [1, 1, 2]
        run.add_metrics(round=3, loss=0.25)
        assert lines(run)[-1] == {"round": 3, "loss": 0.25}


@pytest.mark.parametrize(
    "damage", [b"\xff\x00{\n", b"[1]\n", b"null\n", b"{}\n", b'{"round": "x"}\n']
)
def test_damaged_lines_of_the_metrics_are_left_out(
    config: TrainingConfig, run_path: Path, damage: bytes
) -> None:
    with open_run(run_path, config, resume=False) as run:
        run.add_metrics(round=1, loss=0.5)
        with (run_path / "metrics.jsonl").open("ab") as file:
            file.write(damage)
        run.add_metrics(round=2, loss=0.5)
        run.drop_metrics_after(2)
        assert [line["round"] for line in lines(run)] == [1, 2]


def test_sites_whose_cases_have_changed_are_named(config: TrainingConfig, run_path: Path) -> None:
    before = {"s0": {"train": ["a"]}, "s1": {"train": ["b"]}}
    with open_run(run_path, config, resume=False) as run:
        run.record_plan(before, ((0, 1),))
        run.record_plan(before, ((0, 1),))
        with pytest.raises(CheckpointError, match="cases of s1 have changed since"):
            run.record_plan({**before, "s1": {"train": ["c"]}}, ((0, 1),))
    assert run.read("schedule.json") == {"sites": ["s0", "s1"], "schedule": [[0, 1]]}


def test_absent_and_damaged_files_are_reported(config: TrainingConfig, run_path: Path) -> None:
    with open_run(run_path, config, resume=False) as run:
        pass
    with pytest.raises(CheckpointError, match=r"run has no splits\.json"):
        run.read("splits.json")
    (run_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"config\.json of the run run is damaged"):
        run.configuration()
