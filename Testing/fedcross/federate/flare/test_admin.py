"""FLARE's exceptions become errors of one sentence; a fake session raises them."""

from pathlib import Path

import pytest
from nvflare.fuel.flare_api.api_spec import (
    AuthorizationError,
    InternalError,
    InvalidJobDefinition,
    JobNotDone,
    JobNotFound,
    NoConnection,
)

from fedcross.federate.flare.admin import FlareServerConnection
from fedcross.federate.kits.startup_kit import Kit
from fedcross.federate.supervise.server_connection import (
    FederationError,
    JobNotRunningError,
    UnreachableError,
)

PEM = Path("x.pem")
KIT = Kit(Path("admin"), "admin", "a@b.org", "f", "fl.example.org", 8002, PEM, PEM, PEM)


class Session:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def download_job_result(self, job: str) -> str:
        raise self.error

    def _close_ignore_errors(self) -> None: ...


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (JobNotDone("still running"), FederationError, "The job is still running"),
        (JobNotFound("gone"), JobNotRunningError, "does not run that job"),
        (NoConnection("lost"), UnreachableError, "fl.example.org:8002 does not answer"),
        (AuthorizationError("no"), FederationError, "rejects this kit"),
        (InvalidJobDefinition("bad"), FederationError, "refuses the job"),
        (InternalError("oh"), FederationError, "reports: oh"),
    ],
)
def test_an_exception_of_flare_becomes_an_error_of_one_sentence(
    error: Exception, kind: type[FederationError], words: str, tmp_path: Path
) -> None:
    connection = FlareServerConnection(KIT)
    connection._session = Session(error)
    with pytest.raises(FederationError, match=words) as caught:
        connection.download_result("job", tmp_path)
    assert type(caught.value) is kind
