import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from fedcross.errors import CheckpointError, ConfigError
from fedcross.federate.local import engine
from fedcross.federate.local.engine import run_local
from fedcross.model.bundle import open_bundle, verify_bundle
from fedcross.runtime.reporting import NullReporter
from fedcross.training.config.file import load_config
from fedcross.training.evaluation.validation import Validation
from fedcross.training.run.export import export_run
from fedcross.training.run.folder import RunFolder
from tiny_federation import tiny_config, write_federation

# A run that prints a line at one epoch and waits there for a signal.
CHILD = """
import sys, time, torch
from pathlib import Path
from fedcross.federate.local.engine import run_local
from fedcross.runtime.reporting import NullReporter
from fedcross.training.config.file import load_config

class Waits(NullReporter):
    def progress(self, done, total, stage):
        if (stage, done) == ("train", int(sys.argv[3])):
            print("here", flush=True)
            time.sleep(120)

torch.set_num_threads(1)
run_local(load_config(Path(sys.argv[1])), Path(sys.argv[2]), device="cpu", reporter=Waits())
"""


class Interrupts(NullReporter):
    """Interrupts the run, as Ctrl-C does, when the training has come so far."""

    def __init__(self, at: int) -> None:
        self.at = at

    def progress(self, done: int, total: int, stage: str) -> None:
        if (stage, done) == ("train", self.at):
            raise KeyboardInterrupt


def end_at(epoch: int, number: signal.Signals, config: Path, out: Path) -> int:
    """Train in a child process, send it a signal in an epoch, and return its exit code."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(config), str(out), str(epoch)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == b"here\n"
        child.send_signal(number)
        return child.wait()


def final_tensors(run: Path) -> list[dict[str, torch.Tensor]]:
    checkpoint = RunFolder(run).checkpoints.latest()
    assert checkpoint is not None
    return [member.to_tensors() for member in checkpoint.members]


def assert_same_end(first: Path, second: Path) -> None:
    for left, right in zip(final_tensors(first), final_tensors(second), strict=True):
        assert left.keys() == right.keys()
        assert all(torch.equal(left[key], right[key]) for key in left)
    figures = [metrics(run) for run in (first, second)]
    for lines in figures:
        for line in lines:
            line.pop("seconds", None)
    assert figures[0] == figures[1]
    assert (first / "test.json").read_text() == (second / "test.json").read_text()


def metrics(run: Path) -> list[dict[str, object]]:
    text = (run / "metrics.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def visits(run: Path) -> list[list[object]]:
    """Sites by round and member, as they were visited."""
    lines = [line for line in metrics(run) if "member" in line]
    rounds = max(int(str(line["round"])) for line in lines)
    return [[line["site"] for line in lines if line["round"] == n + 1] for n in range(rounds)]


@pytest.fixture(scope="module")
def config_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_federation(tmp_path_factory.mktemp("federation"), rounds=3, local_epochs=2)


@pytest.fixture(scope="module")
def undisturbed(config_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    run_local(load_config(config_path), out, device="cpu")
    return out


def test_members_visit_the_sites_of_the_schedule(undisturbed: Path) -> None:
    plan = json.loads((undisturbed / "schedule.json").read_text(encoding="utf-8"))
    assert visits(undisturbed) == [
        [plan["sites"][site] for site in row] for row in plan["schedule"]
    ]
    assert len(plan["schedule"]) == 3
    assert all(sorted(row) == [0, 1] for row in plan["schedule"])


def test_a_run_keeps_its_best_and_last_rounds_and_its_figures(undisturbed: Path) -> None:
    run = RunFolder(undisturbed)
    scores = {
        line["round"]: line["validation"]["mean"]
        for line in metrics(undisturbed)
        if "validation" in line
    }
    assert list(scores) == [1, 2, 3]
    last = run.checkpoints.latest()
    assert last is not None
    assert last.best is not None
    assert last.best.dice == max(scores.values()) == scores[last.best.round]
    assert run.checkpoints.rounds() == sorted({2, 3, last.best.round})
    test = run.read("test.json")
    assert test["round"] == last.best.round
    assert list(test["sites"]) == ["s0", "s1"]
    assert [member.epochs_done for member in last.members] == [6, 6]


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")
def test_a_run_killed_during_a_round_resumes_to_the_same_members(
    config_path: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    # Of 12 epochs: round 2 is epochs 5 to 8, so 7 is half of its second member's visit.
    assert end_at(7, signal.SIGKILL, config_path, out) == -signal.SIGKILL
    assert RunFolder(out).checkpoints.rounds() == [1]
    assert [line["round"] for line in metrics(out) if "member" in line] == [1, 1, 2]
    run_local(load_config(config_path), out, resume=True, device="cpu")
    assert_same_end(out, undisturbed)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_its_rounds_and_can_be_resumed(
    config_path: Path, undisturbed: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "run"
    assert end_at(9, number, config_path, out) == -signal.SIGINT  # a KeyboardInterrupt's exit code
    assert RunFolder(out).checkpoints.rounds() == [1, 2]
    run_local(load_config(config_path), out, resume=True, device="cpu")
    assert_same_end(out, undisturbed)


def test_a_run_interrupted_before_its_first_round_starts_again(
    config_path: Path, undisturbed: Path, tmp_path: Path
) -> None:
    config, out = load_config(config_path), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run_local(config, out, device="cpu", reporter=Interrupts(1))
    run_local(config, out, resume=True, device="cpu")
    assert_same_end(out, undisturbed)


def test_resuming_a_finished_run_trains_nothing(config_path: Path, tmp_path: Path) -> None:
    path = write_federation(tmp_path, sites=1, rounds=1, kind="fedcross")
    out = tmp_path / "run"
    run_local(load_config(path), out, device="cpu")
    started = {"status.json", "train.log", "environment.json"}  # these say that it was

    def results() -> dict[Path, bytes]:
        files = (file for file in out.rglob("*") if file.is_file() and file.name not in started)
        return {file: file.read_bytes() for file in files}

    before = results()
    run_local(load_config(path), out, resume=True, device="cpu")
    assert results() == before
    starts = RunFolder(out).read("environment.json")["starts"]
    assert [start["rounds_done"] for start in starts] == [0, 1]


def test_fedcross_trains_one_member(tmp_path: Path) -> None:
    config = tiny_config(
        tmp_path, sites=3, cases=1, split=(1, 0, 0), kind="fedcross", rounds=6, schedule="latin"
    )
    run_local(config, tmp_path / "run", device="cpu")
    walked = [row[0] for row in visits(tmp_path / "run")]
    assert sorted(walked[:3]) == sorted(walked[3:]) == ["s0", "s1", "s2"]
    (tensors,) = final_tensors(tmp_path / "run")
    assert bytes(tensors["last_site"].tolist()).decode() == walked[-1]


def test_without_validation_the_last_round_is_tested_and_exported(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, sites=1, cases=2, split=(1, 0, 1), rounds=2)
    run_local(config, tmp_path / "run", device="cpu")
    assert RunFolder(tmp_path / "run").read("test.json")["round"] == 2
    bundle = export_run(tmp_path / "run", tmp_path / "bundle")
    assert bundle.manifest.members[0].rounds == 2


def test_validation_can_be_less_frequent_than_rounds(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, sites=1, rounds=5, extra="validate_every = 2")
    run_local(config, tmp_path / "run", device="cpu")
    validated = [line["round"] for line in metrics(tmp_path / "run") if "validation" in line]
    assert validated == [2, 4, 5]


def validated(*dices: float) -> Callable[..., Validation]:
    """A validation that gives these mean Dices one after the other."""
    given = iter(dices)
    return lambda *_: Validation(dice := next(given), {"s0": dice})


def test_training_ends_after_as_many_validations_without_improvement_as_patience_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(tmp_path, sites=1, rounds=9, extra="patience = 2")
    out = tmp_path / "run"
    # An equal Dice is no improvement; the second round is the best one of five.
    monkeypatch.setattr(engine, "validate", validated(0.5, 0.7, 0.6, 0.7))
    run_local(config, out, device="cpu")
    run = RunFolder(out)
    assert run.checkpoints.rounds() == [2, 3, 4]
    assert [line["round"] for line in metrics(out) if "stopped_early" in line] == [4]
    assert run.read("test.json")["round"] == 2
    status = run.read("status.json")
    assert (status["state"], status["stopped_early"], status["rounds"]) == ("finished", 4, 9)
    assert "not improved in 2 validations" in (out / "train.log").read_text(encoding="utf-8")
    assert export_run(out, tmp_path / "bundle").manifest.members[0].rounds == 2
    before = metrics(out)
    run_local(config, out, resume=True, device="cpu")  # a validation would raise StopIteration
    assert metrics(out) == before
    assert run.read("status.json")["stopped_early"] == 4


def test_patience_is_counted_over_a_resumption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(tmp_path, sites=1, rounds=9, extra="patience = 2")
    monkeypatch.setattr(engine, "validate", validated(0.7, 0.6))
    with pytest.raises(KeyboardInterrupt):
        run_local(config, tmp_path / "run", device="cpu", reporter=Interrupts(3))
    monkeypatch.setattr(engine, "validate", validated(0.6))
    run_local(config, tmp_path / "run", resume=True, device="cpu")
    assert RunFolder(tmp_path / "run").checkpoints.rounds() == [1, 2, 3]


def test_the_last_round_does_not_count_as_stopped_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(tmp_path, sites=1, rounds=2, extra="patience = 1")
    monkeypatch.setattr(engine, "validate", validated(0.7, 0.6))
    run_local(config, tmp_path / "run", device="cpu")
    assert "stopped_early" not in RunFolder(tmp_path / "run").read("status.json")


def test_an_exploding_loss_is_reported_and_the_folder_kept(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, sites=1, local_epochs=3, extra="learning_rate = 1e30")
    with pytest.raises(ConfigError, match="at s0 in round 1"):
        run_local(config, tmp_path / "run", device="cpu")
    assert RunFolder(tmp_path / "run").exists


def test_the_bundle_has_the_members_and_their_provenance(undisturbed: Path, tmp_path: Path) -> None:
    export_run(undisturbed, tmp_path / "bundle", which="last")
    manifest = verify_bundle(tmp_path / "bundle")
    checkpoint = RunFolder(undisturbed).checkpoints.latest()
    assert checkpoint is not None
    with open_bundle(tmp_path / "bundle") as bundle:
        for k, member in enumerate(checkpoint.members):
            tensors = bundle.member_tensors(k)
            assert all(torch.equal(tensors[key], value) for key, value in member.weights.items())
            assert bundle.manifest.members[k].last_site == member.last_site
    assert manifest.sites == ("s0", "s1")
    assert manifest.schedule is not None
    assert len(manifest.schedule) == 3
    assert manifest.structures[0].name == "Blob"
    recorded = json.loads((undisturbed / "config.json").read_text(encoding="utf-8"))
    assert manifest.provenance.configuration_sha256 == recorded["sha256"]
    assert "validation Dice, mean" in manifest.provenance.validation
    metadata = (tmp_path / "bundle" / "configs" / "metadata.json").read_text(encoding="utf-8")
    assert str(tmp_path.parent) not in metadata
    assert "s0/images" not in metadata


def test_the_best_round_is_exported_by_default_and_the_last_on_request(
    undisturbed: Path, tmp_path: Path
) -> None:
    best = RunFolder(undisturbed).read("test.json")["round"]
    assert export_run(undisturbed, tmp_path / "b").manifest.members[0].rounds == best
    with pytest.raises(ConfigError, match="kept, last or best, got 'first'"):
        export_run(undisturbed, tmp_path / "c", which="first")


def test_a_run_without_finished_round_cannot_be_exported(config_path: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no config\.json: it holds no run"):
        export_run(tmp_path, tmp_path / "bundle")
    with pytest.raises(KeyboardInterrupt):
        run_local(load_config(config_path), tmp_path / "run", device="cpu", reporter=Interrupts(1))
    with pytest.raises(CheckpointError, match="has no finished round"):
        export_run(tmp_path / "run", tmp_path / "bundle")


def test_a_structure_that_no_training_case_has_is_a_warning(tmp_path: Path) -> None:
    path = write_federation(tmp_path, rounds=1)
    text = path.read_text(encoding="utf-8")
    text = text.replace("label = 1\n", 'label = 1\n[[structures]]\nname = "Rim"\nlabel = 2\n')
    path.write_text(text, encoding="utf-8")

    class Collects(NullReporter):
        said: ClassVar[list[str]] = []

        def warning(self, text: str) -> None:
            self.said.append(text)

    run_local(load_config(path), tmp_path / "run", device="cpu", reporter=Collects())
    undrawn = [each for each in Collects.said if "labelled voxel" in each]
    assert len(undrawn) == 1
    assert undrawn[0].startswith("No training case has a labelled voxel of Rim, so")
