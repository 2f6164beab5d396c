"""What the coordinator's machine asks the server, independent of the protocol that carries it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from fedcross.errors import FedCrossError

# FLARE's statuses of a job.
RUNNING = "RUNNING"
COMPLETED = "FINISHED:COMPLETED"
ENDED = "FINISHED"  # prefix of the status of every ended job


# Commands to a running job. STATUS with {KNOWN: ...} returns {"rounds_done": 3, "rounds": 48, "message":
# "Round 3/48: ...", FILES: ...}; KNOWN and FILES are explained in `followed_files`. PAUSE returns the
# first three and ends the job after the current round, which is stored.
STATUS, PAUSE = "fedcross.status", "fedcross.pause"
KNOWN, FILES = "known", "files"
# A job that was not aborted leaves the folder RESULT: the run's files, and its `Outcome` in OUTCOME.
RESULT, OUTCOME = "result", "outcome.json"


REFUSED_HINT = "When this is mended, give the same command again; finished rounds are kept."


class FederationError(FedCrossError):
    """The server refused a request, or the run cannot continue."""


class UnreachableError(FederationError):
    """The server does not answer; a later attempt may succeed."""


class EndedError(FederationError):
    """A job was refused or left no result; the run can be handed in again."""


class JobNotRunningError(FederationError):
    """The server does not have the job, or the job does not run."""


@dataclass(frozen=True)
class Outcome:
    """How a job ended that was not aborted.

    Attributes
    ----------
    state
        State of the run: ``finished``; ``paused``, so that another job can continue it; or
        ``refused``, until what the message names is mended.
    message
        The last log line of the run, or the reason of the refusal.
    rounds_done, rounds
        Number of finished rounds and of all rounds.
    """

    state: Literal["finished", "paused", "refused"]
    message: str
    rounds_done: int
    rounds: int


class ServerConnection(Protocol):
    """The coordinator's connection to the server. Every method may raise `UnreachableError`."""

    def get_server_start_time(self) -> str:
        """When the server was started; a value that differs from an earlier one means a restart."""

    def submit_job(self, job_folder: Path) -> str:
        """Submit a job; return its identifier."""

    def get_job_status(self, job_id: str) -> str:
        """FLARE's status of a job; raises `JobNotRunningError` if the server does not have it."""

    def get_sites(self, job_id: str) -> Mapping[str, bool]:
        """Names of the connected sites, each with whether it takes part in the job."""

    def send_command(
        self, job_id: str, topic: str, data: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        """Send a command, with data for JSON, to a running job and return its answer.

        Raises `JobNotRunningError` if the job does not run.
        """

    def abort_job(self, job_id: str) -> None:
        """End a job; does nothing if it has ended."""

    def download_result(self, job_id: str, folder: Path) -> Path:
        """Download the result of an ended job into a new folder inside `folder`; return its path."""
