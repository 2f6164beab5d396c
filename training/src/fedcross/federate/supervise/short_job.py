"""Jobs that leave no run: the figures for a plan, and the calibration of a bundle."""

import secrets
from collections.abc import Callable
from pathlib import Path

from fedcross.federate.supervise.followed_files import FollowedFiles
from fedcross.federate.supervise.outcome import download_outcome
from fedcross.federate.supervise.server_connection import Outcome, ServerConnection
from fedcross.federate.supervise.supervisor import Supervisor
from fedcross.federate.supervise.timeouts import Timeouts
from fedcross.training.config.configuration import TrainingConfig


def new_job_id(kind: str) -> str:
    """Return an identifier for a job that leaves no run; `kind` is its first word."""
    return f"{kind}-{secrets.token_hex(4)}"


def follow_job(
    config: TrainingConfig,
    connection: ServerConnection,
    job_folder: Path,
    scratch: Path,
    log: Callable[[str], None],
    timeouts: Timeouts | None = None,
) -> Path:
    """Submit a job that leaves no run, wait for its end, and return the folder with its result.

    Parameters
    ----------
    config
        The configuration; its sites are waited for.
    connection
        Connection to the server.
    job_folder
        The job, see `flare.job.build_job`.
    scratch
        Folder for the download.
    log
        Receives a line for every event.
    timeouts
        Waiting times; None for the usual ones.

    Raises
    ------
    FederationError
        If the server cannot be reached or refuses the job; its message names the reason.
    """
    results: list[Path] = []
    copies = scratch / "followed"
    copies.mkdir(parents=True)
    files = FollowedFiles(copies, log)

    def fetch(job: str) -> Outcome:
        outcome, result = download_outcome(connection, job, scratch)
        files.complete(result)
        results.append(result)
        return outcome

    Supervisor(
        connection=connection,
        job_folder=job_folder,
        sites=[site.name for site in config.sites],
        fetch_outcome=fetch,
        is_wanted=lambda: True,
        repeats=False,
        log=log,
        save_job_id=lambda job: None,
        files=files,
        timeouts=timeouts or Timeouts(),
    ).run()
    return results[-1]
