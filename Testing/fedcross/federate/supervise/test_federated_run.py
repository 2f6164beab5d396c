import json
from pathlib import Path

import pytest

from fake_server import FakeServer
from fedcross.errors import CheckpointError, ConfigError
from fedcross.federate.supervise.federated_run import FederatedRun
from fedcross.federate.supervise.server_connection import (
    COMPLETED,
    RUNNING,
    FederationError,
)
from fedcross.federate.supervise.timeouts import Timeouts
from fedcross.training.config.configuration import (
    TrainingConfig,
    config_sha256,
    config_values,
    parse_config,
)


@pytest.fixture
def run(tmp_path: Path, small: TrainingConfig) -> FederatedRun:
    run = FederatedRun(tmp_path / "run")
    run.begin(small)
    return run


def test_a_supervised_run_ends_with_its_result_in_the_run_folder(run: FederatedRun) -> None:
    run.supervise(FakeServer(), Path("job"), ("s0", "s1"), print, Timeouts(poll_s=0.01))
    assert run.finished
    assert run.record.job == "job-0"
    assert sorted(path.name for path in run.path.iterdir()) == [
        "config.json",
        "federation.json",
        "test.json",
    ]
    assert list(run.path.parent.iterdir()) == [run.path]


def test_a_job_without_a_result_does_not_change_the_folder(run: FederatedRun) -> None:
    run.update_record(job="job-0")
    before, server = run.record, FakeServer()
    server.state = ""
    with pytest.raises(FederationError, match="has no result"):
        run.download(server)
    assert run.record == before


def test_before_the_first_job_progress_and_download_are_refused(run: FederatedRun) -> None:
    server = FakeServer()
    for call in (run.get_progress, run.download):
        with pytest.raises(FederationError, match="No job of this run was submitted yet"):
            call(server)
    run.abort(server)
    assert run.record.aborted
    assert server.statuses == {}


def test_a_paused_run_is_not_copied_into_the_folder(run: FederatedRun) -> None:
    run.update_record(job="job-0")
    server = FakeServer()
    server.state = "paused"
    assert run.download(server).state == "paused"
    assert not run.finished


def test_beginning_a_run_again_keeps_its_identifier_and_job(
    run: FederatedRun, small: TrainingConfig
) -> None:
    run_id = run.record.run
    run.update_record(job="job-7")
    assert FederatedRun(run.path).begin(small).run == run_id
    assert run.record.job == "job-7"


def test_a_folder_with_another_run_or_other_files_is_refused(
    run: FederatedRun, small: TrainingConfig, tmp_path: Path
) -> None:
    other = parse_config({**config_values(small), "seed": 99}, source="other")
    with pytest.raises(ConfigError, match="another configuration"):
        run.begin(other)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").touch()
    with pytest.raises(ConfigError, match="not empty"):
        FederatedRun(tmp_path / "thesis").begin(small)


def test_a_site_whose_name_no_kit_can_have_is_refused(
    small: TrainingConfig, tmp_path: Path
) -> None:
    values = config_values(small)
    values["sites"][0]["name"] = "Saint Mary"
    with pytest.raises(ConfigError, match="'Saint Mary'"):
        FederatedRun(tmp_path / "run").begin(parse_config(values, source="x"))


def test_progress_has_the_status_the_message_and_the_sites_of_the_job(run: FederatedRun) -> None:
    server = FakeServer()
    server.is_running = True
    run.update_record(job=server.submit_job(Path("job")))
    assert run.get_progress(server) == (RUNNING, "Round 2/3", {"s0": True, "s1": False})
    server.is_running = False
    assert "starting" in run.get_progress(server)[1]
    run.update_record(aborted=True)
    assert "is ending" in run.get_progress(server)[1]
    server.statuses["job-0"] = COMPLETED
    assert run.get_progress(server) == (COMPLETED, "", {})


def test_an_aborted_run_stays_aborted_until_it_is_begun_again(
    run: FederatedRun, small: TrainingConfig
) -> None:
    server = FakeServer()
    run.update_record(job=server.submit_job(Path("job")))
    run.abort(server)
    with pytest.raises(FederationError, match="was aborted"):
        run.supervise(server, Path("job"), ("s0", "s1"), print, Timeouts(poll_s=0.01))
    run.begin(small)
    run.supervise(server, Path("job"), ("s0", "s1"), print, Timeouts(poll_s=0.01))
    assert run.finished
    assert run.record.job == "job-1"


def test_a_missing_and_a_damaged_record_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no federated run"):
        _ = FederatedRun(tmp_path).record
    (tmp_path / "federation.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match="damaged"):
        _ = FederatedRun(tmp_path).record


def test_a_finished_run_goes_on_with_more_rounds_as_a_new_job(
    run: FederatedRun, small: TrainingConfig
) -> None:
    run_id = run.record.run
    longer = small.model_copy(
        update={"method": small.method.model_copy(update={"rounds": small.method.rounds + 1})}
    )
    with pytest.raises(ConfigError, match=r"another configuration.*Only a finished run"):
        run.begin(longer)
    server = FakeServer()
    server.files["config.json"] = json.dumps({"configuration": config_values(small)})
    run.supervise(server, Path("job"), ("s0", "s1"), print, Timeouts(poll_s=0.01))
    record = run.begin(longer)
    assert (record.run, record.job) == (run_id, "")
    assert record.configuration_sha256 == config_sha256(longer)
    with pytest.raises(CheckpointError, match="rounds is 1, but the run run was begun with 3"):
        run.begin(
            small.model_copy(update={"method": small.method.model_copy(update={"rounds": 1})})
        )
