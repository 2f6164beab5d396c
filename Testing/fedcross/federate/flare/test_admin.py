"""What FLARE raises becomes one sentence; its session is stood in for."""

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

from fedcross.federate.flare.admin import FlareCoordinator
from fedcross.federate.kits.startup_kit import Kit
from fedcross.federate.supervise.coordinator import FederationError, GoneError, UnreachableError

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
        (JobNotFound("gone"), GoneError, "does not run that job"),
        (NoConnection("lost"), UnreachableError, "fl.example.org:8002 does not answer"),
        (AuthorizationError("no"), FederationError, "does not let this kit in"),
        (InvalidJobDefinition("bad"), FederationError, "refuses the job"),
        (InternalError("oh"), FederationError, "reports: oh"),
    ],
)
def test_what_flare_raises_is_one_sentence(
    error: Exception, kind: type[FederationError], words: str, tmp_path: Path
) -> None:
    coordinator = FlareCoordinator(KIT)
    coordinator._session = Session(error)
    with pytest.raises(FederationError, match=words) as caught:
        coordinator.download("job", tmp_path)
    assert type(caught.value) is kind
