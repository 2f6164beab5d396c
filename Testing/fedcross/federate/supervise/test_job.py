from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from fedcross.federate.supervise.coordinator import (
    COMPLETED,
    PAUSE,
    RUNNING,
    STATUS,
    FederationError,
    GoneError,
    Outcome,
    UnreachableError,
)
from fedcross.federate.supervise.job import Patience, Supervisor

ROUNDS = 4
PATIENCE = Patience(poll=1.0, server=30.0, start=3.0, gather=3.0, site=3.0, tries=3)


class World:
    """A server in memory: a round every two seconds, and what a test lets happen at which second."""

    def __init__(self) -> None:
        self.time = 0.0
        self.done = 0
        self.jobs: list[str] = []
        self.ended: dict[str, str] = {}
        self.vanished: set[str] = set()
        self.aborted: list[str] = []
        self.paused = False
        self.down = False
        self.works = True
        self.members: dict[str, set[str]] = {}
        self.connected = {"a", "b"}
        self.events: list[tuple[float, Callable[[], None]]] = []
        self.refusal = ""
        self.started = "Monday"
        self._next_round = 2.0

    def at(self, second: float, event: Callable[[], None]) -> None:
        self.events.append((second, event))

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        for event in [each for each in self.events if each[0] <= self.time]:
            self.events.remove(event)
            event[1]()
        while self.jobs and self._runs(self.jobs[-1]) and self.time >= self._next_round:
            self._next_round += 2.0
            if self.works:
                self.done += 1
            if self.done == ROUNDS or self.paused:
                self.ended[self.jobs[-1]] = COMPLETED
        self._next_round = max(self._next_round, self.time)

    def _runs(self, job: str) -> bool:
        return job not in self.ended and job not in self.vanished

    def _answer(self) -> None:
        if self.down:
            raise UnreachableError("The server does not answer.")

    def server(self) -> str:
        self._answer()
        return self.started

    def submit(self, job: Path) -> str:
        self._answer()
        self.jobs.append(f"job-{len(self.jobs)}")
        self.members[self.jobs[-1]] = set(self.connected)
        self._next_round, self.paused = self.time + 2.0, False
        return self.jobs[-1]

    def status(self, job: str) -> str:
        self._answer()
        if job not in self.jobs:
            raise GoneError("not known")
        return self.ended.get(job, RUNNING)

    def sites(self, job: str) -> Mapping[str, bool]:
        self._answer()
        members = self.members.get(job, set())
        return {name: name in members for name in sorted(self.connected)}

    def ask(self, job: str, topic: str) -> Mapping[str, Any]:
        self._answer()
        if not self._runs(job):
            raise GoneError("not running")
        self.paused = self.paused or topic == PAUSE
        assert topic in (STATUS, PAUSE)
        return {"rounds_done": self.done, "rounds": ROUNDS, "message": f"Round {self.done}/4"}

    def abort(self, job: str) -> None:
        self._answer()
        self.aborted.append(job)

    def outcome(self, job: str) -> Outcome:
        self._answer()
        state = "finished" if self.done == ROUNDS else "refused" if self.refusal else "paused"
        return Outcome(state, self.refusal, self.done, ROUNDS)

    def download(self, job: str, folder: Path) -> Path:
        raise AssertionError("not asked for here")


class Watched:
    def __init__(self, world: World, patience: Patience = PATIENCE) -> None:
        self.world = world
        self.wanted = True
        self.told: list[str] = []
        self.noted: list[str] = []
        self.supervisor = Supervisor(
            world,
            Path("job"),
            sites=("a", "b"),
            outcome=world.outcome,
            wanted=lambda: self.wanted,
            tell=self.told.append,
            note=self.noted.append,
            patience=patience,
            now=lambda: world.time,
            sleep=world.sleep,
        )


def test_a_quiet_run_is_one_job() -> None:
    world = World()
    watched = Watched(world)
    assert watched.supervisor.run() == "job-0"
    assert watched.noted == world.jobs == ["job-0"]
    assert watched.told == ["Handed in: job job-0.", *(f"Round {n}/4" for n in (1, 2, 3))]


def test_a_job_that_is_aborted_is_handed_in_again_and_goes_on() -> None:
    world = World()
    world.at(4, lambda: world.ended.update({"job-0": "FINISHED:ABORTED"}))
    watched = Watched(world)
    assert watched.supervisor.run() == "job-1"
    assert world.done == ROUNDS
    assert "The job ended as FINISHED:ABORTED." in watched.told


def test_a_server_that_is_killed_is_waited_for_and_given_the_job_again() -> None:
    world = World()

    def kill() -> None:
        world.down = True
        world.vanished.add("job-0")

    def restart() -> None:
        world.down, world.started = False, "Tuesday"

    world.at(3, kill)
    world.at(13, restart)
    watched = Watched(world)
    assert watched.supervisor.run() == "job-1"
    assert sum("Waiting for it" in line for line in watched.told) == 1
    assert "The server was started anew, and the job died with it." in watched.told
    assert world.aborted == ["job-0"]  # it was still listed as running


def test_a_job_that_is_listed_as_running_but_never_heard_of_is_given_up() -> None:
    world = World()
    world.at(1, lambda: world.vanished.add("job-0"))
    watched = Watched(world)
    assert watched.supervisor.run() == "job-1"
    assert "The server lists the job as running, but nothing runs." in watched.told


def test_a_server_that_stays_away_is_given_up() -> None:
    world = World()
    world.at(3, lambda: setattr(world, "down", True))
    with pytest.raises(UnreachableError):
        Watched(world).supervisor.run()
    assert 30 < world.time < 40


def test_a_server_that_forgot_the_job_gets_it_again() -> None:
    world = World()
    world.at(3, lambda: world.jobs.__setitem__(0, "other"))
    watched = Watched(world)
    watched.supervisor.run()
    assert any("does not know the job" in line for line in watched.told)


def test_a_site_that_comes_back_is_let_in_after_the_round_under_way() -> None:
    world = World()
    world.at(1, lambda: world.members["job-0"].discard("b"))  # its job process was killed
    watched = Watched(world)
    watched.supervisor.run()
    assert world.jobs == ["job-0", "job-1"]
    assert world.members["job-1"] == {"a", "b"}
    assert world.aborted == []
    assert sum("b is back" in line for line in watched.told) == 1


def test_a_site_that_is_only_late_with_the_others_causes_no_new_job() -> None:
    world = World()
    world.at(1, lambda: world.members["job-0"].discard("b"))
    world.at(3, lambda: world.members["job-0"].add("b"))
    Watched(world).supervisor.run()
    assert world.jobs == ["job-0"]


def test_jobs_that_finish_no_round_are_bounded() -> None:
    world = World()
    world.works = False
    for second in range(1, 40):
        world.at(
            second, lambda: world.ended.update({world.jobs[-1]: "FINISHED:EXECUTION_EXCEPTION"})
        )
    with pytest.raises(FederationError, match="3 times in a row"):
        Watched(world).supervisor.run()
    assert len(world.jobs) == 3


def test_rounds_in_between_renew_the_patience() -> None:
    world = World()
    for second in (3, 6, 9, 12):
        world.at(second, lambda: world.ended.setdefault(world.jobs[-1], "FINISHED:ABORTED"))
    tight = Patience(poll=1.0, server=30.0, start=3.0, gather=3.0, site=3.0, tries=1)
    Watched(world, tight).supervisor.run()
    assert world.done == ROUNDS


def test_a_job_that_runs_already_is_followed_instead_of_handed_in() -> None:
    world = World()
    world.submit(Path("job"))
    watched = Watched(world)
    assert watched.supervisor.run("job-0") == "job-0"
    assert watched.noted == []


def test_a_run_that_a_person_aborted_is_not_handed_in_again() -> None:
    world = World()
    watched = Watched(world)

    def abort() -> None:
        watched.wanted = False
        world.ended["job-0"] = "FINISHED:ABORTED"

    world.at(3, abort)
    with pytest.raises(FederationError, match="was aborted"):
        watched.supervisor.run()
    assert world.jobs == ["job-0"]


def test_what_the_sites_refuse_is_told_and_not_tried_again() -> None:
    world = World()
    world.refusal = "b has fedcross 0.2, the server 0.1."
    world.at(1, lambda: world.ended.update({"job-0": COMPLETED}))
    with pytest.raises(FederationError, match=r"b has fedcross 0\.2, the server 0\.1\."):
        Watched(world).supervisor.run()
    assert world.jobs == ["job-0"]


def test_the_job_waits_a_while_for_all_sites() -> None:
    world = World()
    world.connected = {"a"}
    world.at(2, lambda: world.connected.add("b"))
    watched = Watched(world)
    watched.supervisor.run()
    assert world.jobs == ["job-0"]
    assert watched.told[0] == "Waiting for b."


def test_a_site_that_joins_late_is_let_in() -> None:
    world = World()
    world.connected = {"a"}
    world.at(5, lambda: world.connected.add("b"))
    watched = Watched(world)
    watched.supervisor.run()
    assert [world.members[job] for job in world.jobs] == [{"a"}, {"a", "b"}]
    assert "Without b, who can join later." in watched.told
