"""Follows the jobs of a federated run until the run is finished.

The server stores the state of every finished round outside of FLARE's jobs, so that a new job continues
where the last one ended. A new job is submitted in three cases: a job ended before the run was finished;
the server was restarted and no longer runs the job; a site is connected but takes no part in the job,
because FLARE does not add a site to a running job. In the last case the job first finishes its round.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from fedcross.federate.supervise.server_connection import (
    COMPLETED,
    ENDED,
    PAUSE,
    RUNNING,
    STATUS,
    FederationError,
    JobNotRunningError,
    Outcome,
    ServerConnection,
    UnreachableError,
)
from fedcross.federate.supervise.timeouts import Timeouts

T = TypeVar("T")


@dataclass
class JobState:
    """What the supervisor stores of the current job.

    Attributes
    ----------
    job_id
        FLARE's identifier of the job.
    server_start_time
        Start time of the server that runs the job.
    last_contact
        Time of the job's last answer, or before the first one of its start.
    is_pausing
        Whether the job was asked to pause.
    left_out
        Since when each connected site takes no part in the job, by the site's name.
    """

    job_id: str
    server_start_time: str
    last_contact: float
    is_pausing: bool = False
    left_out: dict[str, float] = field(default_factory=dict)


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
        Whether a new job shall follow a job that was aborted.
    log
        Receives a sentence for every event.
    save_job_id
        Stores the identifier of every submitted job, for a later `run`.
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
    timeouts: Timeouts = field(default_factory=Timeouts)
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _rounds_done: int = field(default=0, init=False)

    def run(self, job_id: str | None = None) -> str:
        """Follow the run to its end; return the identifier of its last job.

        Parameters
        ----------
        job_id
            A job of this run that was submitted before; None submits a new one.

        Raises
        ------
        FederationError
            If the server is unreachable for too long, too many jobs in a row finish no round, the
            server refuses the run, or a person aborted it.
        """
        jobs_without_round = 0
        while True:
            rounds_before = self._rounds_done
            current = job_id or self._submit()
            job_id = None
            server_start_time = self._retry(self.connection.get_server_start_time)
            if self._follow(JobState(current, server_start_time, self.now())):
                return current
            jobs_without_round = 0 if self._rounds_done > rounds_before else jobs_without_round + 1
            if jobs_without_round >= self.timeouts.attempts:
                raise FederationError(
                    f"{jobs_without_round} jobs in a row finished no round.",
                    "See log.txt in the server's and the sites' kits.",
                )

    def _submit(self) -> str:
        self._wait_for_sites()
        job_id = self._retry(lambda: self.connection.submit_job(self.job_folder))
        self.save_job_id(job_id)
        self.log(f"Submitted job {job_id}.")
        return job_id

    def _wait_for_sites(self) -> None:
        """Wait until all sites are connected or time is up: a late site needs another job."""
        started, is_logged = self.now(), False
        while True:
            connected = self._retry(lambda: self.connection.get_sites(""))
            missing = [name for name in self.sites if name not in connected]
            if not missing:
                return
            if self.now() - started >= self.timeouts.connect_s:
                self.log(f"Begun without {', '.join(missing)}; missing sites can join later.")
                return
            if not is_logged:
                self.log(f"Waiting for {', '.join(missing)}.")
                is_logged = True
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
                return self._finishes_run(job.job_id, status)
            if status == RUNNING and not self._is_alive(job):
                self._retry(lambda: self.connection.abort_job(job.job_id))
                return False
            if status != RUNNING:
                job.last_contact = self.now()
            self.sleep(self.timeouts.poll_s)

    def _finishes_run(self, job_id: str, status: str) -> bool:
        """Whether an ended job finished the run; raises if no other job may follow."""
        if status == COMPLETED:
            outcome = self._retry(lambda: self.fetch_outcome(job_id))
            if outcome.state == "refused":
                raise FederationError(outcome.message)
            self._rounds_done = max(self._rounds_done, outcome.rounds_done)
            return outcome.state == "finished"
        if not self.is_wanted():
            raise FederationError("The run was aborted.")
        self.log(f"The job ended with the status {status}.")
        return False

    def _is_alive(self, job: JobState) -> bool:
        """Whether a job with the status RUNNING does run; logs its progress and lets sites join."""
        try:
            progress = self._retry(lambda: self.connection.send_command(job.job_id, STATUS))
        except JobNotRunningError:
            if self._retry(self.connection.get_server_start_time) != job.server_start_time:
                self.log("The server was restarted; its job ended.")
                return False
            if self.now() - job.last_contact < self.timeouts.start_s:
                return True
            self.log("The server lists the job as running, but the job does not answer.")
            return False
        self._log_progress(job, progress)
        self._pause_for_left_out_sites(job)
        return True

    def _log_progress(self, job: JobState, progress: Mapping[str, Any]) -> None:
        job.last_contact = self.now()
        if progress["rounds_done"] > self._rounds_done:
            self._rounds_done = progress["rounds_done"]
            self.log(progress["message"])

    def _pause_for_left_out_sites(self, job: JobState) -> None:
        """Let the job pause if a site has been connected for a while and takes no part."""
        sites = self._retry(lambda: self.connection.get_sites(job.job_id))
        now = self.now()
        left_out = [name for name, takes_part in sites.items() if not takes_part]
        job.left_out = {name: job.left_out.get(name, now) for name in left_out}
        waiting = [
            name for name, since in job.left_out.items() if now - since >= self.timeouts.join_s
        ]
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
