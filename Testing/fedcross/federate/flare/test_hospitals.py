"""A server and three hospitals as processes of their own, over TLS, some of which are killed."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fedcross.federate.flare.admin import FlareCoordinator
from fedcross.federate.flare.job import RUNS, build_job
from fedcross.federate.kits.connection import check_connection
from fedcross.federate.local.engine import run_local
from fedcross.federate.supervise.job import Patience
from fedcross.federate.supervise.run import SupervisedRun
from fedcross.model.bundle import verify_bundle
from fedcross.strategies.member import new_member
from fedcross.training.config.configuration import TrainingConfig, load_config
from fedcross.training.run.export import export_run
from fedcross.training.run.folder import RunFolder
from federation_processes import Processes, wait_until
from tiny_federation import write_federation

pytestmark = pytest.mark.federation

SITES = ("s0", "s1", "s2")
PATIENCE = Patience(poll=1.0, server=90.0, start=90.0, gather=60.0, site=8.0, tries=3)
SECONDS = 240.0  # for a whole run, disturbed or not
# A site's sitecustomize.py: its visits are altered before its first job imports them.
ALTERED = """
import importlib.abc, os, sys, time
class Altered(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "fedcross.federate.remote.site_work":
            return None
        sys.meta_path.remove(self)
        import fedcross.training.step.trainer as trainer
        honest = trainer.visit
        def visit(*arguments):
            after, report = honest(*arguments)
            {afterwards}
            return after, report
        trainer.visit = visit
        return None
sys.meta_path.insert(0, Altered())
"""
POISONED = """for tensor in after.weights.values():
                if tensor.is_floating_point():
                    tensor.view(-1)[0] = float("nan")"""
HELD = """while os.path.exists({path!r}):
                time.sleep(0.05)"""


def altered(folder: Path, afterwards: str) -> dict[str, str]:
    """What is in the environment of a site that does more after every visit."""
    (folder / "altered").mkdir()
    (folder / "altered" / "sitecustomize.py").write_text(
        ALTERED.replace("{afterwards}", afterwards), encoding="utf-8"
    )
    return {"PYTHONPATH": str(folder / "altered")}


def held_while(hold: Path, folder: Path) -> dict[str, str]:
    """The same of a site whose visits do not end while a file exists."""
    return altered(folder, HELD.format(path=str(hold)))


class Submitted:
    """A run that a thread supervises."""

    def __init__(
        self,
        processes: Processes,
        config: TrainingConfig,
        folder: Path,
        patience: Patience = PATIENCE,
    ) -> None:
        self.run = SupervisedRun(folder / "run")
        self.told: list[str] = []
        self._processes, self._patience = processes, patience
        self._record = self.run.begin(config)
        self._job = build_job(config, folder, run_id=self._record.run)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._supervise, daemon=True)
        self._thread.start()

    def _supervise(self) -> None:
        try:
            with FlareCoordinator(self._processes.kit("admin")) as coordinator:
                self.run.supervise(coordinator, self._job, SITES, self.told.append, self._patience)
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            self._error = error

    @property
    def at_the_server(self) -> RunFolder:
        return RunFolder(self._processes.kit("server").path / RUNS / self._record.run)

    def wait_for_round(self, number: int) -> None:
        wait_until(
            lambda: self._error is not None or number in self.at_the_server.checkpoints.rounds(),
            SECONDS,
            f"round {number}; told: {self.told}",
        )
        self.raise_error()

    def wait_to_be_told(self, words: str) -> None:
        wait_until(
            lambda: self._error is not None or any(words in line for line in self.told),
            SECONDS,
            f"told {words!r}; told: {self.told}",
        )
        self.raise_error()

    def finish(self) -> RunFolder:
        self._thread.join(SECONDS)
        self.raise_error()
        assert not self._thread.is_alive(), f"still not finished: {self.told}"
        assert self.run.finished
        return RunFolder(self.run.path)

    def raise_error(self) -> None:
        if self._error is not None:
            words = "\n\n".join(self._processes.words(name) for name in ("server", "s0"))
            raise AssertionError(f"{self._error}; told: {self.told}\n{words}") from self._error


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path, dict.fromkeys(SITES, tmp_path / "data")) as processes:
        yield processes


def write_config(folder: Path, rounds: int, epochs: int) -> TrainingConfig:
    path = write_federation(
        folder / "data",
        sites=len(SITES),
        rounds=rounds,
        local_epochs=epochs,
        extra="[engine]\nsilence_timeout_s = 15",
    )
    return load_config(path)


def assert_same_members(found: RunFolder, config: TrainingConfig, folder: Path) -> None:
    run_local(config, folder / "local", device="cpu")
    expected = RunFolder(folder / "local").checkpoints.latest()
    last = found.checkpoints.latest()
    assert expected is not None
    assert last is not None
    assert last.rounds_done == expected.rounds_done == config.method.rounds
    for one, other in zip(last.members, expected.members, strict=True):
        state, wanted = one.to_tensors(), other.to_tensors()
        assert state.keys() == wanted.keys()
        assert all(torch.equal(state[name], wanted[name]) for name in wanted)


def metrics(run: RunFolder) -> list[dict]:
    lines = (run.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def gaps(run: RunFolder) -> list[dict]:
    found: list[dict] = run.read("gaps.json")["gaps"]
    return found


def test_separate_processes_over_tls_train_the_members_of_the_local_engine_to_the_bit(
    trial: Processes, tmp_path: Path
) -> None:
    config = write_config(tmp_path, rounds=3, epochs=1)
    trial.start("server", *SITES)
    submitted = Submitted(trial, config, tmp_path)
    submitted.wait_for_round(2)
    assert "both sides proved who they are" in check_connection(trial.kit("s0"))
    run = submitted.finish()
    assert_same_members(run, config, tmp_path)
    assert gaps(run) == []  # the check disturbed no site at work
    assert sum(line.startswith("Handed in") for line in submitted.told) == 1, submitted.told
    export_run(run.path, tmp_path / "bundle")
    verify_bundle(tmp_path / "bundle")
    everything = "".join(
        path.read_text(errors="replace") for path in trial.kit("server").path.rglob("*.[tj][xs]*")
    )
    assert "case-" not in everything  # no case's name came to the server
    assert str(tmp_path / "data") not in everything  # nor where the data lie


def test_a_site_that_is_killed_loses_its_visit_only_and_makes_it_up_later(
    trial: Processes, tmp_path: Path
) -> None:
    config = write_config(tmp_path, rounds=4, epochs=20)
    hold = tmp_path / "hold"
    trial.start("server", "s1", "s2")
    trial.start("s0", **held_while(hold, tmp_path))
    submitted = Submitted(trial, config, tmp_path)
    submitted.wait_for_round(1)
    hold.touch()  # no round ends until s1 was noticed
    trial.kill("s1")
    trial.start("s1")
    submitted.wait_to_be_told("s1 is back")
    hold.unlink()
    run = submitted.finish()
    lost = gaps(run)
    assert lost
    assert {gap["site"] for gap in lost} == {1}
    assert all(gap["made_up"] is not None for gap in lost)
    others = [line for line in metrics(run) if line.get("site") in ("s0", "s2")]
    assert len(others) == 8
    assert all("failed" not in line for line in others)
    last = run.checkpoints.latest()
    assert last is not None
    assert [member.rounds_done for member in last.members] == [4, 4, 4]


def test_a_server_that_is_killed_goes_on_and_ends_as_if_nothing_had_happened(
    trial: Processes, tmp_path: Path
) -> None:
    config = write_config(tmp_path, rounds=3, epochs=30)
    hold = tmp_path / "hold"
    trial.start("server", "s1", "s2")
    trial.start("s0", **held_while(hold, tmp_path))
    submitted = Submitted(trial, config, tmp_path)
    submitted.wait_for_round(1)
    hold.touch()  # the run does not end before the server
    trial.kill("server")
    hold.unlink()
    trial.start("server")
    run = submitted.finish()
    assert any("does not answer" in line for line in submitted.told)
    assert sum(line.startswith("Handed in") for line in submitted.told) == 2, submitted.told
    assert_same_members(run, config, tmp_path)
    assert gaps(run) == []


def test_a_site_that_joins_late_takes_part_from_then_on(trial: Processes, tmp_path: Path) -> None:
    config = write_config(tmp_path, rounds=6, epochs=4)
    hold = tmp_path / "hold"
    trial.start("server", "s1")
    trial.start("s0", **held_while(hold, tmp_path))
    wait_until(  # only s2 is late, however slow the machine
        lambda: all("Successfully registered" in trial.words(site) for site in ("s0", "s1")),
        SECONDS,
        "s0 and s1 at the server",
    )
    submitted = Submitted(trial, config, tmp_path, replace(PATIENCE, gather=1.0))
    submitted.wait_for_round(1)
    hold.touch()  # no round ends until s2 was noticed
    trial.start("s2")
    submitted.wait_to_be_told("s2 is back")
    hold.unlink()
    run = submitted.finish()
    assert "Without s2, who can join later." in submitted.told
    assert {gap["site"] for gap in gaps(run)} == {2}
    assert all(gap["made_up"] is not None for gap in gaps(run))
    assert any(line.get("site") == "s2" and line.get("loss") for line in metrics(run))


def test_a_poisoned_member_is_refused_and_the_run_goes_on_without_it(
    trial: Processes, tmp_path: Path
) -> None:
    config = write_config(tmp_path, rounds=3, epochs=1)
    trial.start("server", "s0", "s1")
    trial.start("s2", **altered(tmp_path, POISONED))
    run = Submitted(trial, config, tmp_path).finish()
    refused = [line for line in metrics(run) if "failed" in line]
    assert {line["site"] for line in refused} == {"s2"}
    assert all("finite" in line["failed"] or "NaN" in line["failed"] for line in refused)
    last = run.checkpoints.latest()
    assert last is not None
    for member in last.members:
        assert all(bool(torch.isfinite(tensor).all()) for tensor in member.state().values())
        assert member.rounds_done == 2


def test_a_hospitals_own_privacy_policy_filters_what_leaves_it(
    trial: Processes, tmp_path: Path
) -> None:
    config = write_config(tmp_path, rounds=1, epochs=1)
    keeps_all = {
        "path": "nvflare.app_common.filters.exclude_vars.ExcludeVars",
        "args": {"exclude_vars": "."},
    }
    scope = {"name": "hospital", "task_result_filters": [keeps_all]}
    policy = {"scopes": [scope], "default_scope": "hospital"}
    (trial.kit("s0").path / "local" / "privacy.json").write_text(json.dumps(policy))
    trial.start("server", *SITES)
    run = Submitted(trial, config, tmp_path).finish()
    last = run.checkpoints.latest()
    assert last is not None
    for member in last.members:
        new = new_member(member.index, config.network, config.seed)
        unchanged = all(
            torch.equal(member.weights[name], new.weights[name]) for name in new.weights
        )
        assert unchanged == (member.last_site == "s0")
        assert member.rounds_done == 1
