"""A run goes on with more rounds and with more sites."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from fedcross.errors import CheckpointError, DataError
from fedcross.federate.local import engine
from fedcross.federate.local.engine import run_local
from fedcross.training.config.configuration import TrainingConfig, config_sha256, config_values
from fedcross.training.evaluation.validation import Validation
from fedcross.training.run.checkpoint import Checkpoint
from fedcross.training.run.export import export_run
from fedcross.training.run.folder import RunFolder
from tiny_federation import tiny_config

ROUNDS = 2


def configured(
    folder: Path, *, sites: int = 2, rounds: int = ROUNDS, **options: Any
) -> TrainingConfig:
    return tiny_config(folder, sites=sites, rounds=rounds, **options)


def trained(folder: Path, **options: Any) -> RunFolder:
    """Train the first rounds."""
    run_local(configured(folder, **options), folder / "run", device="cpu")
    return RunFolder(folder / "run")


def go_on(folder: Path, **options: Any) -> RunFolder:
    """Resume the run with another configuration."""
    run_local(configured(folder, **options), folder / "run", resume=True, device="cpu")
    return RunFolder(folder / "run")


def schedule(run: RunFolder) -> list[list[int]]:
    rows: list[list[int]] = run.read("schedule.json")["schedule"]
    return rows


def last(run: RunFolder) -> Checkpoint:
    checkpoint = run.checkpoints.latest()
    assert checkpoint is not None
    return checkpoint


def visited(run: RunFolder) -> list[list[str]]:
    """Sites by round, as they were visited."""
    lines = [line for line in run.metrics() if "member" in line]
    rounds = max(line["round"] for line in lines)
    return [[line["site"] for line in lines if line["round"] == n + 1] for n in range(rounds)]


@pytest.mark.parametrize("kind", ["latin", "rotation", "random"])
def test_more_rounds_leave_the_first_rows_of_the_schedule_as_they_were(
    tmp_path: Path, kind: str
) -> None:
    before = schedule(trained(tmp_path, sites=3, cases=1, split=(1, 0, 0), schedule=kind))
    run = go_on(tmp_path, sites=3, rounds=5, cases=1, split=(1, 0, 0), schedule=kind)
    assert schedule(run)[:ROUNDS] == before
    assert visited(run) == [[f"s{site}" for site in row] for row in schedule(run)]
    assert len(schedule(run)) == 5
    assert last(run).rounds_done == 5


def test_with_a_constant_rate_a_run_that_went_on_ends_as_one_that_was_begun_longer(
    tmp_path: Path,
) -> None:
    constant = 'rate_schedule = "constant"'
    trained(tmp_path, extra=constant)
    run = go_on(tmp_path, rounds=4, extra=constant)
    run_local(configured(tmp_path, rounds=4, extra=constant), tmp_path / "straight", device="cpu")
    for one, other in zip(
        last(run).members, last(RunFolder(tmp_path / "straight")).members, strict=True
    ):
        left, right = one.to_tensors(), other.to_tensors()
        assert left.keys() == right.keys()
        assert all(torch.equal(left[name], right[name]) for name in left)
    assert run.read("test.json") == RunFolder(tmp_path / "straight").read("test.json")


def test_the_earlier_configuration_stays_in_the_history(tmp_path: Path) -> None:
    run = trained(tmp_path)
    before, test = run.read("config.json"), run.read("test.json")
    assert run.continued_at == 0
    longer = configured(tmp_path, rounds=3)
    run = go_on(tmp_path, rounds=3)
    found = run.read("config.json")
    assert found["configuration"] == config_values(longer)
    assert found["sha256"] == config_sha256(longer)
    assert found["history"] == [{**before, "rounds_done": ROUNDS, "test": test}]
    assert run.continued_at == ROUNDS
    run = go_on(tmp_path, rounds=4)
    assert [entry["rounds_done"] for entry in run.history()] == [ROUNDS, 3]
    config = (run.path / "config.json").read_bytes()
    go_on(tmp_path, rounds=4)  # nothing to add
    assert (run.path / "config.json").read_bytes() == config


def test_a_site_joins_and_the_number_of_members_stays(tmp_path: Path) -> None:
    before = trained(tmp_path)
    rows, splits = schedule(before), before.read("splits.json")
    run = go_on(tmp_path, sites=3, rounds=ROUNDS + 3)
    assert schedule(run)[:ROUNDS] == rows
    # A block of three rounds: both members visit all sites once.
    assert [sorted(row[k] for row in schedule(run)[ROUNDS:]) for k in range(2)] == [[0, 1, 2]] * 2
    assert visited(run) == [[f"s{site}" for site in row] for row in schedule(run)]
    assert run.configuration().members == len(last(run).members) == 2
    assert list(run.read("splits.json")) == ["s0", "s1", "s2"]
    assert {name: run.read("splits.json")[name] for name in splits} == splits
    assert list(run.read("test.json")["sites"]) == ["s0", "s1", "s2"]
    manifest = export_run(run.path, tmp_path / "bundle", which="last").manifest
    assert manifest.sites == ("s0", "s1", "s2")
    assert manifest.schedule == tuple(map(tuple, schedule(run)))


def test_a_run_with_a_new_site_is_resumed_and_goes_on_as_any_other(tmp_path: Path) -> None:
    trained(tmp_path)
    run = go_on(tmp_path, sites=3, rounds=4)
    rows = schedule(run)
    config = (run.path / "config.json").read_bytes()
    go_on(tmp_path, sites=3, rounds=4)
    assert (run.path / "config.json").read_bytes() == config
    run = go_on(tmp_path, sites=3, rounds=6)
    assert schedule(run)[:4] == rows
    assert len(visited(run)) == 6
    run = go_on(tmp_path, sites=4, rounds=7)
    assert schedule(run)[:6] == schedule(RunFolder(run.path))[:6]
    assert len(schedule(run)[6]) == 2


@pytest.mark.parametrize("kind", ["fedcross", "fedavg", "centralised"])
def test_a_site_joins_a_method_with_one_member(tmp_path: Path, kind: str) -> None:
    trained(tmp_path, kind=kind)
    run = go_on(tmp_path, sites=3, rounds=5, kind=kind)
    assert len(last(run).members) == 1
    expected = {"fedcross": {"s2"}, "fedavg": {"s0", "s1", "s2"}, "centralised": {"all sites"}}
    assert expected[kind] <= {site for row in visited(run)[ROUNDS:] for site in row}


@pytest.mark.parametrize("kind", ["local", "fedbn"])
def test_methods_with_a_member_per_site_get_rounds_but_no_site(tmp_path: Path, kind: str) -> None:
    trained(tmp_path, kind=kind)
    assert last(go_on(tmp_path, rounds=3, kind=kind)).rounds_done == 3
    with pytest.raises(CheckpointError, match=f"{kind} trains a member for every site, so .* s2"):
        go_on(tmp_path, sites=3, rounds=4, kind=kind)


def test_what_cannot_change_is_said_in_one_sentence(tmp_path: Path) -> None:
    trained(tmp_path, sites=3, cases=1, split=(1, 0, 0))
    plain: dict[str, Any] = {"sites": 3, "cases": 1, "split": (1, 0, 0)}
    with pytest.raises(CheckpointError, match="rounds is 1, but the run run was begun with 2"):
        go_on(tmp_path, **{**plain, "rounds": 1})
    with pytest.raises(CheckpointError, match=r"finished all of its 2 rounds.*new site s3"):
        go_on(tmp_path, **{**plain, "sites": 4})
    with pytest.raises(CheckpointError, match=r"another configuration: sites\.2.*is 'absent'"):
        go_on(tmp_path, **{**plain, "sites": 2, "rounds": 4})
    with pytest.raises(CheckpointError, match=r"method\.members \(was None, is 2\)"):
        go_on(tmp_path, **plain, rounds=4, members=2)
    with pytest.raises(CheckpointError, match=r"training\.noise \(was 0.0, is 0.5\)"):
        go_on(tmp_path, **plain, rounds=4, extra="noise = 0.5")
    assert last(RunFolder(tmp_path / "run")).rounds_done == ROUNDS


def test_sites_join_at_the_end_only(tmp_path: Path) -> None:
    trained(tmp_path)
    config = configured(tmp_path, sites=3, rounds=4)
    first, second, third = config.sites
    other = config.model_copy(update={"sites": (first, third, second)})
    with pytest.raises(CheckpointError, match=r"sites\.1\.name \(was 's1', is 's2'\)"):
        run_local(other, tmp_path / "run", resume=True, device="cpu")


def test_a_site_whose_data_cannot_be_read_leaves_the_run_as_it_was(tmp_path: Path) -> None:
    run = trained(tmp_path)
    before = {file: file.read_bytes() for file in run.path.glob("*.json")}
    config = configured(tmp_path, sites=3, rounds=4)
    wrong = config.sites[2].model_copy(update={"images": "nowhere"})
    other = config.model_copy(update={"sites": (*config.sites[:2], wrong)})
    with pytest.raises(DataError):
        run_local(other, run.path, resume=True, device="cpu")
    kept = ("config.json", "splits.json", "schedule.json", "test.json")
    assert all((run.path / name).read_bytes() == before[run.path / name] for name in kept)


def test_an_interrupted_write_of_the_new_plan_is_completed_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, write = trained(tmp_path), RunFolder.write

    def fail_at_config(folder: RunFolder, name: str, content: dict[str, Any]) -> None:
        if name == "config.json":
            raise KeyboardInterrupt
        write(folder, name, content)

    monkeypatch.setattr(RunFolder, "write", fail_at_config)
    with pytest.raises(KeyboardInterrupt):
        go_on(tmp_path, sites=3, rounds=4)
    assert len(run.configuration().sites) == 2
    monkeypatch.setattr(RunFolder, "write", write)
    rows = schedule(run)
    assert schedule(go_on(tmp_path, sites=3, rounds=4)) == rows
    assert len(run.configuration().sites) == 3


def test_patience_counts_again_after_a_run_got_more_rounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dices = iter([0.7, 0.6, 0.6, 0.6, 0.6])
    monkeypatch.setattr(engine, "validate", lambda *_: Validation(next(dices), {}))
    run = trained(tmp_path, sites=1, rounds=3, extra="patience = 1")
    assert last(run).rounds_done == 2
    run = go_on(tmp_path, sites=1, rounds=9, extra="patience = 1")
    assert last(run).rounds_done == 3
    assert json.loads((run.path / "status.json").read_text())["stopped_early"] == 3
