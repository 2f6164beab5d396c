"""The result of an ended job, downloaded from the server."""

from pathlib import Path

from fedcross.contract.parse import parse_json
from fedcross.federate.supervise.server_connection import (
    OUTCOME,
    RESULT,
    EndedError,
    Outcome,
    ServerConnection,
)

CONTINUE_HINT = "fedcross federation submit continues the run."


def download_outcome(connection: ServerConnection, job: str, folder: Path) -> tuple[Outcome, Path]:
    """Download the result of an ended job into a folder; return its outcome and the result's folder.

    Raises
    ------
    EndedError
        If the job has no result, or the result is damaged.
    """
    downloaded = connection.download_result(job, folder)
    outcome_file = next(downloaded.rglob(f"{RESULT}/{OUTCOME}"), None)
    if outcome_file is None:
        raise EndedError(f"Job {job} has no result; was it aborted?", CONTINUE_HINT)
    try:
        outcome = Outcome(**parse_json(outcome_file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise EndedError(f"The result of job {job} is damaged.", CONTINUE_HINT) from error
    return outcome, outcome_file.parent
