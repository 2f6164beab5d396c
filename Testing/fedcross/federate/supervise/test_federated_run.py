import json
from pathlib import Path

import pytest

from fake_server import FakeServer
from fedcross.errors import CheckpointError, ConfigError
from fedcross.federate.supervise.federated_run import FederatedRun
from fedcross.federate.supervise.progress import Progress, get_progress
from fedcross.federate.supervise.server_connection import (
    COMPLETED,
    FederationError,
)
from fedcross.federate.supervise.timeouts import Timeouts
from fedcross.training.config.configuration import (
    TrainingConfig,
    config_sha256,
    config_values,
    parse_config,
)
from fedcross.training.run.folder import RunFolder
from fedcross.training.run.monitor import append_log


@pytest.fixture
def run(tmp_path: Path, small: TrainingConfig) -> FederatedRun:
    run = FederatedRun(tmp_path / "run")
    run.begin(small)
    return run


def test_a_supervised_run_ends_with_its_result_in_the_run_folder(
    run: FederatedRun, small: TrainingConfig
) -> None:
    run.supervise(FakeServer(), Path("job"), small, print, Timeouts(poll_s=0.01))
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
    for call in (lambda server: get_progress(run, server), run.download):
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


VISIT = {"round": 1, "member": 0, "site": "s0", "loss": 0.5}


def test_progress_has_the_message_the_sites_and_the_figures_of_a_running_job(
    run: FederatedRun, tmp_path: Path
) -> None:
    server = FakeServer()
    server.is_running, server.folder = True, tmp_path / "server"
    server.folder.mkdir()
    RunFolder(server.folder).add_metrics(**VISIT)
    run.update_record(job=server.submit_job(Path("job")))
    before = sorted(run.path.iterdir())
    progress = get_progress(run, server)
    assert progress == Progress("Running.", "Round 2/3", {"s0": True, "s1": False}, [VISIT])
    assert sorted(run.path.iterdir()) == before
    server.is_running = False
    assert "starting" in get_progress(run, server).message
    run.update_record(aborted=True)
    assert "is ending" in get_progress(run, server).message


@pytest.mark.parametrize(
    ("state", "words"), [("finished", "Finished."), ("paused", "Paused"), ("refused", "Refused")]
)
def test_progress_says_how_a_job_ended_and_not_only_that_it_did(
    run: FederatedRun, state: str, words: str
) -> None:
    server = FakeServer()
    server.state, server.message = state, "Site s1 differs from the server in torch."
    server.files["metrics.jsonl"] = json.dumps(VISIT) + "\n"
    run.update_record(job=server.submit_job(Path("job")))
    progress = get_progress(run, server)
    assert progress.state.startswith(words)
    assert progress.message == ("" if state == "finished" else server.message)
    assert ("hands the run in again" in progress.state) == (state == "refused")
    assert progress.metrics == [VISIT]
    assert not run.finished


def test_progress_of_an_aborted_job_has_the_figures_that_were_copied(run: FederatedRun) -> None:
    server = FakeServer()
    run.update_record(job=server.submit_job(Path("job")))
    RunFolder(run.path).add_metrics(**VISIT)
    run.abort(server)
    progress = get_progress(run, server)
    assert progress.state.startswith("Aborted; fedcross federation submit")
    assert progress.metrics == [VISIT]
    run.update_record(aborted=False)
    assert "FINISHED:ABORTED" in get_progress(run, server).state


def test_a_refused_run_is_handed_in_again_by_the_same_call(
    run: FederatedRun, small: TrainingConfig
) -> None:
    server, lines = FakeServer(), []
    server.state, server.message = "refused", "Site s1 differs."
    quick = Timeouts(poll_s=0.01)
    with pytest.raises(FederationError, match="Site s1 differs"):
        run.supervise(server, Path("job"), small, lines.append, quick)
    with pytest.raises(FederationError, match="Site s1 differs"):
        run.supervise(server, Path("job"), small, lines.append, quick)
    assert list(server.statuses) == ["job-0", "job-1"]  # handed in again, and refused again
    server.state = "finished"
    server.refused = {"job-1"}
    run.begin(small)
    run.supervise(server, Path("job"), small, lines.append, quick)
    assert run.finished
    assert run.record.job == "job-2"


def test_log_metrics_and_status_arrive_during_the_run_and_every_line_is_shown(
    run: FederatedRun, small: TrainingConfig, tmp_path: Path
) -> None:
    server, lines, figures = FakeServer(), [], []
    server.is_running, server.folder = True, tmp_path / "server"
    server.folder.mkdir()
    for number in range(1, 6):
        append_log(server.folder, f"Round {number}/6")
    RunFolder(server.folder).add_metrics(**VISIT)
    (server.folder / "status.json").write_text('{"state": "running"}\n', encoding="utf-8")

    def see(line: str) -> None:
        lines.append(line)
        if line == "Round 5/6":  # the job ends after the first answer
            append_log(server.folder, "Round 6/6")
            server.is_running = False
            server.statuses = dict.fromkeys(server.statuses, COMPLETED)
            names = ("train.log", "metrics.jsonl")
            server.files |= {n: (server.folder / n).read_text(encoding="utf-8") for n in names}
            seen.append((run.path / "train.log").read_text(encoding="utf-8"))

    seen: list[str] = []
    run.supervise(
        server, Path("job"), small, see, Timeouts(poll_s=0.01), add_metrics=figures.append
    )
    assert [line for line in lines if "/6" in line] == [f"Round {n}/6" for n in range(1, 7)]
    assert figures == [VISIT]
    assert "Round 5/6" in seen[0]
    assert "Round 6/6" not in seen[0]
    assert run.finished


def test_the_event_files_of_tensorboard_stay_when_the_result_arrives(
    run: FederatedRun, small: TrainingConfig
) -> None:
    (run.path / "tensorboard").mkdir()
    (run.path / "tensorboard" / "events").touch()
    run.supervise(FakeServer(), Path("job"), small, print, Timeouts(poll_s=0.01))
    assert (run.path / "tensorboard" / "events").is_file()


def test_an_aborted_run_stays_aborted_until_it_is_begun_again(
    run: FederatedRun, small: TrainingConfig
) -> None:
    server = FakeServer()
    run.update_record(job=server.submit_job(Path("job")))
    run.abort(server)
    with pytest.raises(FederationError, match="was aborted"):
        run.supervise(server, Path("job"), small, print, Timeouts(poll_s=0.01))
    run.begin(small)
    run.supervise(server, Path("job"), small, print, Timeouts(poll_s=0.01))
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
    run.supervise(server, Path("job"), small, print, Timeouts(poll_s=0.01))
    cleaned = FakeServer()  # does not know the run any more, and is not asked
    run.begin(small)
    run.supervise(cleaned, Path("job"), small, print, Timeouts(poll_s=0.01))
    assert cleaned.statuses == {}
    record = run.begin(longer)
    assert (record.run, record.job) == (run_id, "")
    assert record.configuration_sha256 == config_sha256(longer)
    with pytest.raises(CheckpointError, match="rounds is 1, but the run run was begun with 3"):
        run.begin(
            small.model_copy(update={"method": small.method.model_copy(update={"rounds": 1})})
        )
