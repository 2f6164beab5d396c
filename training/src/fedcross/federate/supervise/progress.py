"""How far a federated run is, as the coordinator sees it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fedcross.federate.supervise.federated_run import FederatedRun
from fedcross.federate.supervise.followed_files import FollowedFiles
from fedcross.federate.supervise.outcome import download_outcome
from fedcross.federate.supervise.server_connection import (
    COMPLETED,
    ENDED,
    FILES,
    KNOWN,
    RUNNING,
    STATUS,
    JobNotRunningError,
    ServerConnection,
)
from fedcross.training.run.folder import RunFolder

WORDS = {
    "finished": "Finished.",
    "paused": "Paused; fedcross federation submit continues the run.",
    "refused": "Refused; when it is mended, fedcross federation submit hands the run in again.",
}
MAX_ANSWERS = 50
"""Answers of a running job that one question takes."""


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes
    ----------
    state
        State of the last job, one or more sentences.
    message
        The last line of its log, or why it was refused; may be empty.
    takes_part
        The connected sites of a running job, each with whether it takes part.
    metrics
        Lines of the run's metrics.
    """

    state: str
    message: str = ""
    takes_part: Mapping[str, bool] = field(default_factory=dict)
    metrics: Sequence[Mapping[str, Any]] = ()


def get_progress(run: FederatedRun, connection: ServerConnection) -> Progress:
    """Ask the server how far a run is; the run folder is not changed.

    Raises
    ------
    FederationError
        If no job of the run was submitted yet, or the server refuses the question.
    """
    job = run.job
    status = connection.get_job_status(job)
    with TemporaryDirectory() as folder:
        if status == RUNNING:
            return _ask_job(run, job, connection, Path(folder))
        if status == COMPLETED:
            return _read_result(job, connection, Path(folder))
    metrics = RunFolder(run.path).metrics()  # copied until the job ended
    if not status.startswith(ENDED):
        return Progress(f"Waiting at the server: {status}.", metrics=metrics)
    how = "Aborted" if run.record.aborted else f"Ended with the status {status}"
    return Progress(f"{how}; fedcross federation submit continues the run.", metrics=metrics)


def _ask_job(run: FederatedRun, job: str, connection: ServerConnection, folder: Path) -> Progress:
    metrics: list[Mapping[str, Any]] = []
    files = FollowedFiles(folder, lambda line: None, metrics.append)
    try:
        for _ in range(MAX_ANSWERS):
            answer = connection.send_command(job, STATUS, {KNOWN: files.known()})
            message = str(answer["message"])
            if not (new := answer.get(FILES)):
                break
            files.add(new)
    except JobNotRunningError:
        message = "It is starting, or ended when the server was restarted."
        if run.record.aborted:
            message = "It is ending."
    return Progress("Running.", message, connection.get_sites(job), metrics)


def _read_result(job: str, connection: ServerConnection, folder: Path) -> Progress:
    metrics: list[Mapping[str, Any]] = []
    outcome, result = download_outcome(connection, job, folder)
    copies = folder / "copies"
    copies.mkdir()
    FollowedFiles(copies, lambda line: None, metrics.append).complete(result)
    message = "" if outcome.state == "finished" else outcome.message
    return Progress(WORDS[outcome.state], message, metrics=metrics)
