"""A federated run is followed to its end: a job that dies is handed in again.

The state of every finished round lies at the server, outside of FLARE's jobs, so that the same job
goes on where the last one stopped. A job is handed in again when it ended before the run did, when a
restarted server no longer runs it, and when a site is connected but takes no part in it: FLARE does
not let a site into a running job. In that last case the job is first asked to finish its round.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from fedcross.federate.supervise.coordinator import (
    COMPLETED,
    ENDED,
    PAUSE,
    RUNNING,
    STATUS,
    Coordinator,
    FederationError,
    GoneError,
    Outcome,
    UnreachableError,
)

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long is waited for what, in seconds.

    Attributes
    ----------
    poll
        Between two looks.
    server
        For a server that does not answer.
    start
        For a job to be heard of: every site imports PyTorch before it begins, and FLARE takes its
        time to end it.
    gather
        For the sites to connect before a job begins.
    site
        For a site that is connected to take part in the job.
    tries
        Jobs in a row that finish no round.
    """

    poll: float = 5.0
    server: float = 3600.0
    start: float = 300.0
    gather: float = 60.0
    site: float = 60.0
    tries: int = 5


@dataclass
class Followed:
    """What is known of the job at hand."""

    job: str
    server: str  # when the server that runs it was started
    since: float  # it was last heard of, or began to run
    paused: bool = False
    outside: dict[str, float] = field(default_factory=dict)  # site -> since when it is left out


class Supervisor:
    """Follows a run.

    Parameters
    ----------
    coordinator
        The way to the server.
    job
        Folder of the job, which can be handed in any number of times.
    sites
        Those of the configuration.
    outcome
        What a job that ended well left, which is brought home.
    wanted
        Whether the run is wanted still, now that a job of it was aborted.
    tell
        Hears, in sentences, what happens.
    note
        Is given the identifier of every job handed in, to be kept for a later `follow`.
    patience, now, sleep
        How long is waited, and by which clock.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        job: Path,
        *,
        sites: Collection[str],
        outcome: Callable[[str], Outcome],
        wanted: Callable[[], bool],
        tell: Callable[[str], None],
        note: Callable[[str], None],
        patience: Patience | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._coordinator, self._job = coordinator, job
        self._sites, self._outcome = sites, outcome
        self._wanted, self._tell, self._note = wanted, tell, note
        self._patience, self._now, self._sleep = patience or Patience(), now, sleep
        self._rounds = 0

    def run(self, running: str | None = None) -> str:
        """Follow the run to its end; the identifier of its last job is returned.

        Parameters
        ----------
        running
            A job that was handed in before.

        Raises
        ------
        FederationError
            If the server stays away, jobs end again and again without finishing a round, or a
            person aborted the run.
        """
        fruitless = 0
        while True:
            before = self._rounds
            job = running or self._submit()
            running = None
            server = self._patiently(self._coordinator.server)
            if self._follow(Followed(job, server, self._now())):
                return job
            fruitless = 0 if self._rounds > before else fruitless + 1
            if fruitless >= self._patience.tries:
                raise FederationError(
                    f"The run was handed in {fruitless} times in a row and no round was finished.",
                    "Look into log.txt of the server's and the sites' kits.",
                )

    def _submit(self) -> str:
        self._gather()
        job = self._patiently(lambda: self._coordinator.submit(self._job))
        self._note(job)
        self._tell(f"Handed in: job {job}.")
        return job

    def _gather(self) -> None:
        """Wait for the sites a while: one that comes later costs a pause."""
        began, told = self._now(), False
        while True:
            connected = self._patiently(lambda: self._coordinator.sites(""))
            missing = [name for name in self._sites if name not in connected]
            if not missing:
                return
            if self._now() - began >= self._patience.gather:
                self._tell(f"Without {', '.join(missing)}, who can join later.")
                return
            if not told:
                self._tell(f"Waiting for {', '.join(missing)}.")
                told = True
            self._sleep(self._patience.poll)

    def _follow(self, at: Followed) -> bool:
        """Whether the job finished the run; False when another must go on."""
        while True:
            try:
                status = self._patiently(lambda: self._coordinator.status(at.job))
            except GoneError:
                self._tell("The server does not know the job any more.")
                return False
            if status.startswith(ENDED):
                return self._ended(at.job, status)
            if status == RUNNING and not self._runs_well(at):
                self._patiently(lambda: self._coordinator.abort(at.job))
                return False
            if status != RUNNING:
                at.since = self._now()
            self._sleep(self._patience.poll)

    def _ended(self, job: str, status: str) -> bool:
        if status == COMPLETED:
            left = self._patiently(lambda: self._outcome(job))
            if left.state == "refused":
                raise FederationError(left.message)
            self._rounds = max(self._rounds, left.rounds_done)
            return left.state == "finished"
        if not self._wanted():
            raise FederationError("The run was aborted.")
        self._tell(f"The job ended as {status}.")
        return False

    def _runs_well(self, at: Followed) -> bool:
        """Look at a running job; False if it only seems to run."""
        try:
            self._hear(at, self._patiently(lambda: self._coordinator.ask(at.job, STATUS)))
        except GoneError:
            if self._patiently(self._coordinator.server) != at.server:
                self._tell("The server was started anew, and the job died with it.")
                return False
            if self._now() - at.since < self._patience.start:
                return True
            self._tell("The server lists the job as running, but nothing runs.")
            return False
        self._let_in(at)
        return True

    def _hear(self, at: Followed, progress: Mapping[str, Any]) -> None:
        at.since = self._now()
        if progress["rounds_done"] > self._rounds:
            self._rounds = progress["rounds_done"]
            self._tell(progress["message"])

    def _let_in(self, at: Followed) -> None:
        """Ask for a pause when a site has been connected for a while and left out."""
        sites = self._patiently(lambda: self._coordinator.sites(at.job))
        now = self._now()
        left_out = [name for name, takes_part in sites.items() if not takes_part]
        at.outside = {name: at.outside.get(name, now) for name in left_out}
        waiting = [name for name, t in at.outside.items() if now - t >= self._patience.site]
        if waiting and not at.paused:
            self._tell(f"{', '.join(waiting)} is back; the job begins anew after this round.")
            at.paused = True
            try:
                self._coordinator.ask(at.job, PAUSE)
            except (GoneError, UnreachableError):
                at.paused = False

    def _patiently(self, call: Callable[[], T]) -> T:
        """Call until the server answers."""
        began = self._now()
        told = False
        while True:
            try:
                return call()
            except UnreachableError as error:
                if self._now() - began > self._patience.server:
                    raise
                if not told:
                    self._tell(f"{error} Waiting for it.")
                    told = True
                self._sleep(self._patience.poll)
