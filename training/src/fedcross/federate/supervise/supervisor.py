"""Follows the jobs of a federated run until the run is finished.

The server stores the state of every finished round outside of FLARE's jobs, so that a new job continues
where the last one ended. A new job is submitted in three cases: a job ended before the run was finished;
the server was restarted and no longer runs the job; a site is connected but takes no part in the job,
because FLARE does not add a site to a running job. In the last case the job first finishes its round.
A job is submitted when enough sites are connected.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from fedcross.federate.supervise.attendance import JobState, describe_missing
from fedcross.federate.supervise.followed_files import FollowedFiles
from fedcross.federate.supervise.server_connection import (
    COMPLETED,
    ENDED,
    FILES,
    KNOWN,
    PAUSE,
    REFUSED_HINT,
    RUNNING,
    STATUS,
    EndedError,
    FederationError,
    JobNotRunningError,
    Outcome,
    ServerConnection,
    UnreachableError,
)
from fedcross.federate.supervise.timeouts import Timeouts

T = TypeVar("T")
ABORTED = "The run was aborted."


@dataclass(kw_only=True)
class Supervisor:
    """Submits and follows jobs until the run is finished.

    Attributes
    ----------
    connection
        Connection to the server.
    job_folder
        Folder of the job; it is submitted as often as needed.
    sites
        Names of the configuration's sites.
    fetch_outcome
        Downloads the result of a completed job, by its identifier, and returns its outcome.
    is_wanted
        Whether the run goes on; False after a person aborted it.
    log
        Receives a sentence for every event.
    save_job_id
        Stores the identifier of every submitted job, for a later `run`.
    files
        Receives the growing files of the run; also passes on the lines of its log.
    min_sites
        Number of sites that must be connected before a job is submitted.
    repeats
        Whether another job follows a job that ended before the run was finished.
    timeouts
        Waiting times and the limit of attempts.
    now, sleep
        The clock: the current time in seconds, and a function that waits.
    """

    connection: ServerConnection
    job_folder: Path
    sites: Collection[str]
    fetch_outcome: Callable[[str], Outcome]
    is_wanted: Callable[[], bool]
    log: Callable[[str], None]
    save_job_id: Callable[[str], None]
    files: FollowedFiles
    min_sites: int = 1
    repeats: bool = True
    timeouts: Timeouts = field(default_factory=Timeouts)
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _rounds_done: int = field(default=0, init=False)
    _reason: str = field(default="", init=False)

    def run(self, job_id: str | None = None) -> str:
        """Follow the run to its end; return the identifier of its last job.

        Parameters
        ----------
        job_id
            A job of this run that was submitted before; None submits a new one. If it was refused, or
            left no result, a new one is submitted, because the reason may have been mended since.

        Raises
        ------
        FederationError
            If the server is unreachable for too long, too many jobs in a row finish no round, the
            server refuses the run, or a person aborted it.
        """
        jobs_without_round = 0
        if job_id is not None:
            try:
                if self._follow(self._job_state(job_id, set(self.sites))):
                    return job_id
            except EndedError as error:
                self.log(f"The last job ended: {error.message} The run is handed in again.")
        while True:
            rounds_before = self._rounds_done
            job = self._submit()
            if self._follow(job):
                return job.job_id
            jobs_without_round = 0 if self._rounds_done > rounds_before else jobs_without_round + 1
            if jobs_without_round >= self.timeouts.attempts:
                raise FederationError(
                    f"{jobs_without_round} jobs in a row finished no round. {self._reason}".rstrip(),
                    "See log.txt in the server's and the sites' kits.",
                )

    def _submit(self) -> JobState:
        connected = self._wait_for_sites()
        job_id = self._retry(lambda: self.connection.submit_job(self.job_folder))
        self.save_job_id(job_id)
        self.log(f"Submitted job {job_id}.")
        return self._job_state(job_id, connected)

    def _job_state(self, job_id: str, starting: set[str]) -> JobState:
        server_start_time = self._retry(self.connection.get_server_start_time)
        return JobState(job_id, server_start_time, self.now(), starting)

    def _wait_for_sites(self) -> set[str]:
        """Wait until all sites are connected, or time is up and enough of them are; return these.

        A late site needs another job.
        """
        started, logged = self.now(), ""
        while True:
            if not self.is_wanted():
                raise FederationError(ABORTED)
            connected = set(self._retry(lambda: self.connection.get_sites("")))
            present = len(connected.intersection(self.sites))
            if present == len(self.sites):
                return connected
            is_late = self.now() - started >= self.timeouts.connect_s
            line = describe_missing(self.sites, connected, self.min_sites, is_late=is_late)
            if line != logged:
                self.log(line)
                logged = line
            if is_late and present >= self.min_sites:
                return connected
            self.sleep(self.timeouts.poll_s)

    def _follow(self, job: JobState) -> bool:
        """Follow a job to its end; return whether the run is finished."""
        while True:
            try:
                status = self._retry(lambda: self.connection.get_job_status(job.job_id))
            except JobNotRunningError:
                self.log("The server does not have the job any more.")
                return False
            if status.startswith(ENDED):
                return self._finishes_run(job, status)
            if status == RUNNING and not self._is_alive(job):
                self._retry(lambda: self.connection.abort_job(job.job_id))
                return False
            if status != RUNNING:
                job.last_contact = self.now()
            self.sleep(self.timeouts.poll_s)

    def _finishes_run(self, job: JobState, status: str) -> bool:
        """Whether an ended job finished the run; raises if no other job may follow."""
        if status == COMPLETED:
            outcome = self._retry(lambda: self.fetch_outcome(job.job_id))
            if outcome.state == "refused":
                raise EndedError(outcome.message, REFUSED_HINT)
            self._rounds_done = max(self._rounds_done, outcome.rounds_done)
            self._reason = outcome.message
            if outcome.state == "paused" and not job.is_pausing:
                self.log(outcome.message)
            return outcome.state == "finished"
        if not (self.is_wanted() and self.repeats):
            raise FederationError(ABORTED)
        self._reason = f"The job ended with the status {status}."
        self.log(self._reason)
        return False

    def _is_alive(self, job: JobState) -> bool:
        """Whether a job with the status RUNNING does run; logs its progress and lets sites join."""
        try:
            progress = self._retry(
                lambda: self.connection.send_command(
                    job.job_id, STATUS, {KNOWN: self.files.known()}
                )
            )
        except JobNotRunningError:
            if self._retry(self.connection.get_server_start_time) != job.server_start_time:
                self.log("The server was restarted; its job ended.")
                return False
            if self.now() - job.last_contact < self.timeouts.start_s:
                return True
            self.log("The server lists the job as running, but the job does not answer.")
            return False
        job.last_contact = self.now()
        self._rounds_done = max(self._rounds_done, progress["rounds_done"])
        self.files.add(progress.get(FILES, {}))
        if self.repeats and progress["rounds_done"] < progress["rounds"]:
            self._pause_for_left_out_sites(job)
        return True

    def _pause_for_left_out_sites(self, job: JobState) -> None:
        """Let the job pause if a site is connected and cannot join it any more."""
        takes_part = self._retry(lambda: self.connection.get_sites(job.job_id))
        waiting = job.find_late(self.sites, takes_part, self.now(), self.timeouts.join_s)
        if waiting and not job.is_pausing:
            self.log(f"A new job with {', '.join(waiting)} begins after this round.")
            job.is_pausing = True
            try:
                self.connection.send_command(job.job_id, PAUSE)
            except (JobNotRunningError, UnreachableError):
                job.is_pausing = False

    def _retry(self, call: Callable[[], T]) -> T:
        """Repeat a call until the server answers; raise UnreachableError after `server_s`."""
        started, is_logged = self.now(), False
        while True:
            try:
                return call()
            except UnreachableError as error:
                if self.now() - started > self.timeouts.server_s:
                    raise
                if not is_logged:
                    self.log(f"{error} Trying again.")
                    is_logged = True
                self.sleep(self.timeouts.poll_s)
