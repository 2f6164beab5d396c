"""A job that gathers the figures for a plan from the hospitals; it leaves no run."""

import secrets
from collections.abc import Callable
from pathlib import Path

from fedcross.federate.supervise.federated_run import download_outcome
from fedcross.federate.supervise.server_connection import Outcome, ServerConnection
from fedcross.federate.supervise.supervisor import Supervisor
from fedcross.federate.supervise.timeouts import Timeouts
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.planning.figures import FederationFigures, read_figures


def new_plan_id() -> str:
    """Return an identifier for a job that plans."""
    return f"plan-{secrets.token_hex(4)}"


def follow_plan_job(
    config: TrainingConfig,
    connection: ServerConnection,
    job_folder: Path,
    scratch: Path,
    log: Callable[[str], None],
    timeouts: Timeouts | None = None,
) -> FederationFigures:
    """Submit a job that plans, wait for its end, and return what the server combined.

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
    DataError
        If the figures are damaged.
    """
    results: list[Path] = []

    def fetch(job: str) -> Outcome:
        outcome, result = download_outcome(connection, job, scratch)
        log(outcome.message)
        results.append(result)
        return outcome

    Supervisor(
        connection=connection,
        job_folder=job_folder,
        sites=[site.name for site in config.sites],
        fetch_outcome=fetch,
        is_wanted=lambda: False,
        log=log,
        save_job_id=lambda job: None,
        timeouts=timeouts or Timeouts(),
    ).run()
    return read_figures(results[-1])
