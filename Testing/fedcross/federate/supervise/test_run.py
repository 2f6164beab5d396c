import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fedcross.errors import CheckpointError, ConfigError
from fedcross.federate.supervise.coordinator import COMPLETED, RUNNING, FederationError, GoneError
from fedcross.federate.supervise.job import Patience
from fedcross.federate.supervise.run import SupervisedRun
from fedcross.training.config.configuration import TrainingConfig, config_values, parse_config


class Server:
    """Runs a job in no time, and leaves a run's folder as its result."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.files = {"config.json": "{}", "test.json": "{}"}
        self.running = False
        self.state = "finished"

    def server(self) -> str:
        return "Monday"

    def submit(self, job: Path) -> str:
        name = f"job-{len(self.states)}"
        self.states[name] = RUNNING if self.running else COMPLETED
        return name

    def status(self, job: str) -> str:
        return self.states[job]

    def sites(self, job: str) -> Mapping[str, bool]:
        return {"s0": True, "s1": False}  # connected, and whether it takes part

    def ask(self, job: str, topic: str) -> Mapping[str, Any]:
        if not self.running:
            raise GoneError("not running")
        return {"rounds_done": 2, "rounds": 3, "message": "Round 2/3"}

    def abort(self, job: str) -> None:
        self.states[job] = "FINISHED:ABORTED"

    def download(self, job: str, folder: Path) -> Path:
        made = folder / job / "workspace" / "result"
        made.mkdir(parents=True)
        for name, text in self.files.items():
            (made / name).write_text(text, encoding="utf-8")
        told = {"state": self.state, "message": "Told.", "rounds_done": 3, "rounds": 3}
        if self.state:
            (made / "outcome.json").write_text(json.dumps(told), encoding="utf-8")
        return folder / job


@pytest.fixture
def run(tmp_path: Path, small: TrainingConfig) -> SupervisedRun:
    made = SupervisedRun(tmp_path / "run")
    made.begin(small)
    return made


def test_a_run_is_supervised_and_comes_home(run: SupervisedRun) -> None:
    told: list[str] = []
    run.supervise(Server(), Path("job"), ("s0", "s1"), told.append, Patience(poll=0.01))
    assert run.finished
    assert run.record.job == "job-0"
    assert sorted(path.name for path in run.path.iterdir()) == [
        "config.json",
        "federation.json",
        "test.json",
    ]
    assert list(run.path.parent.iterdir()) == [run.path]


def test_a_job_without_a_result_leaves_what_was_there(run: SupervisedRun) -> None:
    run.keep(job="job-0")
    before, server = run.record, Server()
    server.state = ""
    with pytest.raises(FederationError, match="left no result"):
        run.bring_home(server)
    assert run.record == before


def test_before_the_first_job_there_is_nothing_to_ask_the_server(run: SupervisedRun) -> None:
    server = Server()
    for ask in (run.progress, run.bring_home):
        with pytest.raises(FederationError, match="No job of this run was handed in yet"):
            ask(server)
    run.abort(server)
    assert run.record.aborted
    assert server.states == {}


def test_of_a_paused_run_nothing_comes_home_yet(run: SupervisedRun) -> None:
    run.keep(job="job-0")
    server = Server()
    server.state = "paused"
    assert run.bring_home(server).state == "paused"
    assert not run.finished


def test_taking_a_run_up_again_keeps_its_identity(
    run: SupervisedRun, small: TrainingConfig
) -> None:
    identity = run.record.run
    run.keep(job="job-7")
    assert SupervisedRun(run.path).begin(small).run == identity
    assert run.record.job == "job-7"


def test_a_folder_of_another_run_or_of_something_else_is_refused(
    run: SupervisedRun, small: TrainingConfig, tmp_path: Path
) -> None:
    other = parse_config({**config_values(small), "seed": 99}, source="other")
    with pytest.raises(ConfigError, match="another configuration"):
        run.begin(other)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").touch()
    with pytest.raises(ConfigError, match="not empty"):
        SupervisedRun(tmp_path / "thesis").begin(small)


def test_a_site_that_no_kit_can_be_named_after_is_refused(
    small: TrainingConfig, tmp_path: Path
) -> None:
    values = config_values(small)
    values["sites"][0]["name"] = "Saint Mary"
    with pytest.raises(ConfigError, match="'Saint Mary'"):
        SupervisedRun(tmp_path / "run").begin(parse_config(values, source="x"))


def test_progress_says_what_the_job_says(run: SupervisedRun) -> None:
    server = Server()
    server.running = True
    run.keep(job=server.submit(Path("job")))
    assert run.progress(server) == (RUNNING, "Round 2/3", {"s0": True, "s1": False})
    server.running = False
    assert "started" in run.progress(server)[1]
    run.keep(aborted=True)
    assert "being ended" in run.progress(server)[1]
    server.states["job-0"] = COMPLETED
    assert run.progress(server) == (COMPLETED, "", {})


def test_an_aborted_run_stays_aborted_until_it_is_taken_up_again(
    run: SupervisedRun, small: TrainingConfig
) -> None:
    server = Server()
    run.keep(job=server.submit(Path("job")))
    run.abort(server)
    with pytest.raises(FederationError, match="was aborted"):
        run.supervise(server, Path("job"), ("s0", "s1"), print, Patience(poll=0.01))
    run.begin(small)
    run.supervise(server, Path("job"), ("s0", "s1"), print, Patience(poll=0.01))
    assert run.finished
    assert run.record.job == "job-1"


def test_a_folder_without_a_record_and_a_damaged_one_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no federated run"):
        _ = SupervisedRun(tmp_path).record
    (tmp_path / "federation.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match="damaged"):
        _ = SupervisedRun(tmp_path).record
