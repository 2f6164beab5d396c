import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedcross.federate.supervise.followed_files import FollowedFiles, read_new_texts
from fedcross.federate.supervise.server_connection import (
    COMPLETED,
    FILES,
    KNOWN,
    PAUSE,
    RUNNING,
    STATUS,
    EndedError,
    FederationError,
    JobNotRunningError,
    Outcome,
    UnreachableError,
)
from fedcross.federate.supervise.supervisor import Supervisor
from fedcross.federate.supervise.timeouts import Timeouts
from fedcross.training.run.monitor import append_log

ROUNDS = 4
SCRATCH = tempfile.TemporaryDirectory()
TIMEOUTS = Timeouts(poll_s=1.0, server_s=30.0, start_s=3.0, connect_s=3.0, join_s=3.0, attempts=3)


class FakeServer:
    """A server in memory with its own clock: a round takes two seconds; a test schedules events."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=SCRATCH.name))  # the run folder
        self.time = 0.0
        self.rounds_done = 0
        self.jobs: list[str] = []
        self.ended: dict[str, str] = {}
        self.vanished: set[str] = set()
        self.aborted: list[str] = []
        self.is_pausing = False
        self.is_down = False
        self.finishes_rounds = True
        self.job_sites: dict[str, set[str]] = {}
        self.connected = {"a", "b"}
        self.slow: set[str] = set()
        self.events: list[tuple[float, Callable[[], None]]] = []
        self.refusal = ""
        self.pause_reason = ""
        self.fetch_refused: dict[str, str] = {}
        self.without_result: set[str] = set()
        self.start_time = "Monday"
        self._next_round = 2.0

    def schedule(self, second: float, event: Callable[[], None]) -> None:
        self.events.append((second, event))

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        for event in [each for each in self.events if each[0] <= self.time]:
            self.events.remove(event)
            event[1]()
        while self.jobs and self._runs(self.jobs[-1]) and self.time >= self._next_round:
            self._next_round += 2.0
            if self.finishes_rounds:
                self.rounds_done += 1
                append_log(self.folder, f"Round {self.rounds_done}/4")
            if self.rounds_done == ROUNDS or self.is_pausing:
                self.ended[self.jobs[-1]] = COMPLETED
        self._next_round = max(self._next_round, self.time)

    def _runs(self, job: str) -> bool:
        return job not in self.ended and job not in self.vanished

    def _check_reachable(self) -> None:
        if self.is_down:
            raise UnreachableError("The server does not answer.")

    def get_server_start_time(self) -> str:
        self._check_reachable()
        return self.start_time

    def submit_job(self, job_folder: Path) -> str:
        self._check_reachable()
        self.jobs.append(f"job-{len(self.jobs)}")
        self.job_sites[self.jobs[-1]] = self.connected - self.slow
        self._next_round, self.is_pausing = self.time + 2.0, False
        return self.jobs[-1]

    def get_job_status(self, job_id: str) -> str:
        self._check_reachable()
        if job_id not in self.jobs:
            raise JobNotRunningError("not known")
        return self.ended.get(job_id, RUNNING)

    def get_sites(self, job_id: str) -> Mapping[str, bool]:
        self._check_reachable()
        job_sites = self.job_sites.get(job_id, set())
        return {name: name in job_sites for name in sorted(self.connected)}

    def send_command(
        self, job_id: str, topic: str, data: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        self._check_reachable()
        if not self._runs(job_id):
            raise JobNotRunningError("not running")
        self.is_pausing = self.is_pausing or topic == PAUSE
        assert topic in (STATUS, PAUSE)
        return {
            "rounds_done": self.rounds_done,
            "rounds": ROUNDS,
            "message": f"Round {self.rounds_done}/4",
            FILES: read_new_texts(self.folder, (data or {}).get(KNOWN)),
        }

    def abort_job(self, job_id: str) -> None:
        self._check_reachable()
        self.aborted.append(job_id)

    def fetch_outcome(self, job_id: str) -> Outcome:
        self._check_reachable()
        if job_id in self.without_result:
            raise EndedError(f"Job {job_id} has no result.")
        if job_id in self.fetch_refused:
            return Outcome("refused", self.fetch_refused[job_id], self.rounds_done, ROUNDS)
        state = (
            "finished" if self.rounds_done == ROUNDS else "refused" if self.refusal else "paused"
        )
        return Outcome(state, self.refusal or self.pause_reason, self.rounds_done, ROUNDS)

    def download_result(self, job_id: str, folder: Path) -> Path:
        raise AssertionError("the supervisor downloads only by fetch_outcome")


class Supervision:
    def __init__(
        self, server: FakeServer, timeouts: Timeouts = TIMEOUTS, min_sites: int = 1
    ) -> None:
        self.is_wanted = True
        self.lines: list[str] = []
        self.copies = Path(tempfile.mkdtemp(dir=SCRATCH.name))
        files = FollowedFiles(self.copies, self.lines.append)

        def fetch_outcome(job: str) -> Outcome:
            files.complete(server.folder)
            return server.fetch_outcome(job)

        self.saved: list[str] = []
        self.supervisor = Supervisor(
            connection=server,
            job_folder=Path("job"),
            sites=("a", "b"),
            fetch_outcome=fetch_outcome,
            is_wanted=lambda: self.is_wanted,
            log=self.lines.append,
            save_job_id=self.saved.append,
            files=files,
            min_sites=min_sites,
            timeouts=timeouts,
            now=lambda: server.time,
            sleep=server.sleep,
        )


def test_an_undisturbed_run_is_one_job() -> None:
    server = FakeServer()
    supervision = Supervision(server)
    assert supervision.supervisor.run() == "job-0"
    assert supervision.saved == server.jobs == ["job-0"]
    assert supervision.lines == ["Submitted job job-0.", *(f"Round {n}/4" for n in (1, 2, 3, 4))]


def test_after_an_aborted_job_another_one_continues_the_run() -> None:
    server = FakeServer()
    server.schedule(4, lambda: server.ended.update({"job-0": "FINISHED:ABORTED"}))
    supervision = Supervision(server)
    assert supervision.supervisor.run() == "job-1"
    assert server.rounds_done == ROUNDS
    assert "The job ended with the status FINISHED:ABORTED." in supervision.lines


def test_the_supervisor_waits_for_a_killed_server_and_submits_the_job_again() -> None:
    server = FakeServer()

    def kill() -> None:
        server.is_down = True
        server.vanished.add("job-0")

    def restart() -> None:
        server.is_down, server.start_time = False, "Tuesday"

    server.schedule(3, kill)
    server.schedule(13, restart)
    supervision = Supervision(server)
    assert supervision.supervisor.run() == "job-1"
    assert sum("Trying again" in line for line in supervision.lines) == 1
    assert "The server was restarted; its job ended." in supervision.lines
    assert server.aborted == ["job-0"]  # the server still listed it as running


def test_a_job_that_is_listed_as_running_and_never_answers_is_replaced() -> None:
    server = FakeServer()
    server.schedule(1, lambda: server.vanished.add("job-0"))
    supervision = Supervision(server)
    assert supervision.supervisor.run() == "job-1"
    assert "The server lists the job as running, but the job does not answer." in supervision.lines


def test_a_server_that_stays_unreachable_ends_the_supervision() -> None:
    server = FakeServer()
    server.schedule(3, lambda: setattr(server, "is_down", True))
    with pytest.raises(UnreachableError):
        Supervision(server).supervisor.run()
    assert 30 < server.time < 40


def test_a_job_that_the_server_does_not_have_is_submitted_again() -> None:
    server = FakeServer()
    server.schedule(3, lambda: server.jobs.__setitem__(0, "other"))
    supervision = Supervision(server)
    supervision.supervisor.run()
    assert any("does not have the job" in line for line in supervision.lines)


def test_a_site_that_comes_back_takes_part_after_the_current_round() -> None:
    server = FakeServer()
    server.schedule(1, lambda: server.job_sites["job-0"].discard("b"))  # its job process was killed
    supervision = Supervision(server)
    supervision.supervisor.run()
    assert server.jobs == ["job-0", "job-1"]
    assert server.job_sites["job-1"] == {"a", "b"}
    assert server.aborted == []
    assert sum("A new job with b begins" in line for line in supervision.lines) == 1


def test_a_site_that_joins_the_job_soon_causes_no_new_job() -> None:
    server = FakeServer()
    server.slow = {"b"}
    server.schedule(2, lambda: server.job_sites["job-0"].add("b"))
    Supervision(server).supervisor.run()
    assert server.jobs == ["job-0"]


def test_the_number_of_jobs_without_a_finished_round_is_limited() -> None:
    server = FakeServer()
    server.finishes_rounds = False
    for second in range(1, 40):
        server.schedule(
            second, lambda: server.ended.update({server.jobs[-1]: "FINISHED:EXECUTION_EXCEPTION"})
        )
    with pytest.raises(FederationError, match="3 jobs in a row"):
        Supervision(server).supervisor.run()
    assert len(server.jobs) == 3


def test_a_finished_round_resets_the_number_of_attempts() -> None:
    server = FakeServer()
    for second in (3, 6, 9, 12):
        server.schedule(
            second, lambda: server.ended.setdefault(server.jobs[-1], "FINISHED:ABORTED")
        )
    strict = replace(TIMEOUTS, attempts=1)
    Supervision(server, strict).supervisor.run()
    assert server.rounds_done == ROUNDS


def test_a_job_that_runs_already_is_followed_and_none_is_submitted() -> None:
    server = FakeServer()
    server.submit_job(Path("job"))
    supervision = Supervision(server)
    assert supervision.supervisor.run("job-0") == "job-0"
    assert supervision.saved == []


def test_after_a_person_aborted_the_run_no_job_is_submitted() -> None:
    server = FakeServer()
    supervision = Supervision(server)

    def abort() -> None:
        supervision.is_wanted = False
        server.ended["job-0"] = "FINISHED:ABORTED"

    server.schedule(3, abort)
    with pytest.raises(FederationError, match="was aborted"):
        supervision.supervisor.run()
    assert server.jobs == ["job-0"]


def test_a_refused_run_ends_with_the_reason_and_no_other_job() -> None:
    server = FakeServer()
    server.refusal = "b has fedcross 0.2, the server 0.1."
    server.schedule(1, lambda: server.ended.update({"job-0": COMPLETED}))
    with pytest.raises(FederationError, match=r"b has fedcross 0\.2, the server 0\.1\."):
        Supervision(server).supervisor.run()
    assert server.jobs == ["job-0"]


def test_the_job_is_submitted_after_all_sites_connect() -> None:
    server = FakeServer()
    server.connected = {"a"}
    server.schedule(2, lambda: server.connected.add("b"))
    supervision = Supervision(server)
    supervision.supervisor.run()
    assert server.jobs == ["job-0"]
    assert supervision.lines[0] == "Waiting for b."


def test_a_site_that_connects_late_takes_part_in_a_second_job() -> None:
    server = FakeServer()
    server.connected = {"a"}
    server.schedule(5, lambda: server.connected.add("b"))
    supervision = Supervision(server)
    supervision.supervisor.run()
    assert [server.job_sites[job] for job in server.jobs] == [{"a"}, {"a", "b"}]
    assert "Begun without b; missing sites can join later." in supervision.lines


def test_a_late_site_is_let_in_after_the_round_under_way() -> None:
    server = FakeServer()
    server.connected = {"a"}
    server.schedule(6, lambda: server.connected.add("b"))  # round 2 ends at second 7
    patient = replace(TIMEOUTS, join_s=1000.0)
    supervision = Supervision(server, patient)
    supervision.supervisor.run()
    lines = supervision.lines
    let_in = lines.index("A new job with b begins after this round.")
    assert lines[let_in - 1 : let_in + 2] == ["Round 2/4", lines[let_in], "Round 3/4"]
    assert server.job_sites["job-1"] == {"a", "b"}


def test_a_refused_run_is_handed_in_again_by_the_next_call() -> None:
    server = FakeServer()
    server.refusal = "b has fedcross 0.2, the server 0.1."
    server.schedule(5, lambda: server.ended.update({server.jobs[-1]: COMPLETED}))
    first = Supervision(server)
    with pytest.raises(FederationError, match="b has fedcross"):
        first.supervisor.run()
    assert server.rounds_done == 2
    server.refusal = ""  # the hospital was mended
    server.fetch_refused = {"job-0": "b has fedcross 0.2, the server 0.1."}
    again = Supervision(server)
    assert again.supervisor.run("job-0") == "job-1"
    assert server.rounds_done == ROUNDS
    assert any("b has fedcross 0.2" in line and "again" in line for line in again.lines)


def test_a_run_that_is_refused_again_ends_with_the_new_reason() -> None:
    server = FakeServer()
    server.submit_job(Path("job"))
    server.ended["job-0"] = COMPLETED
    server.fetch_refused = {"job-0": "The first reason.", "job-1": "The second reason."}
    server.schedule(1, lambda: server.ended.update({"job-1": COMPLETED}))
    with pytest.raises(FederationError, match="The second reason"):
        Supervision(server).supervisor.run("job-0")


def test_a_job_of_an_earlier_call_without_a_result_is_replaced() -> None:
    server = FakeServer()
    server.submit_job(Path("job"))
    server.ended["job-0"] = COMPLETED
    server.without_result = {"job-0"}
    assert Supervision(server).supervisor.run("job-0") == "job-1"


def test_no_job_is_submitted_before_enough_sites_are_connected() -> None:
    server = FakeServer()
    server.connected = {"a"}
    server.schedule(30, lambda: server.connected.add("b"))
    supervision = Supervision(server, min_sites=2)
    supervision.supervisor.run()
    assert server.jobs == ["job-0"]
    assert server.job_sites["job-0"] == {"a", "b"}
    assert supervision.lines[:3] == [
        "Waiting for b.",
        "Waiting for b: 1 of 2 sites are connected, and the run needs 2 (min_sites).",
        "Submitted job job-0.",
    ]


def test_a_person_can_abort_a_run_that_waits_for_sites() -> None:
    server = FakeServer()
    server.connected = {"a"}
    supervision = Supervision(server, min_sites=2)
    server.schedule(30, lambda: setattr(supervision, "is_wanted", False))
    with pytest.raises(FederationError, match="was aborted"):
        supervision.supervisor.run()
    assert server.jobs == []


def test_every_line_between_two_requests_is_passed_on_in_order() -> None:
    server = FakeServer()
    for second in (1, 3):
        for number in range(5):
            server.schedule(
                second, lambda s=second, n=number: append_log(server.folder, f"{s}.{n}")
            )
    supervision = Supervision(server)
    supervision.supervisor.run()
    found = [line for line in supervision.lines if "." in line and line[0].isdigit()]
    assert found == [f"{second}.{number}" for second in (1, 3) for number in range(5)]


def test_a_job_that_paused_by_itself_tells_why_and_another_one_follows() -> None:
    server = FakeServer()
    server.pause_reason = "b is not connected: 1 of 2 sites can train."
    server.schedule(1, lambda: server.ended.update({"job-0": COMPLETED}))
    supervision = Supervision(server)
    assert supervision.supervisor.run() == "job-1"
    assert server.pause_reason in supervision.lines
