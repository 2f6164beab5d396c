"""FLARE's exceptions become errors of one sentence; a fake session raises them."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from nvflare.fuel.flare_api.api_spec import (
    AuthorizationError,
    InternalError,
    InvalidJobDefinition,
    JobNotDone,
    JobNotFound,
    NoConnection,
)
from typer.testing import CliRunner

from fedcross.commands.federation import app
from fedcross.federate.flare.admin import FlareServerConnection
from fedcross.federate.kits.provision import Federation, init_federation
from fedcross.federate.kits.startup_kit import Kit, open_kit
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


class Clients:
    """A fake session that disables and enables clients as FLARE does."""

    def __init__(self) -> None:
        self.disabled: set[str] = set()

    def disable_client(self, name: str) -> dict[str, Any]:
        answer = {"client_name": name, "already_disabled": name in self.disabled}
        self.disabled.add(name)
        return {"clients": [answer]}

    def enable_client(self, name: str) -> dict[str, Any]:
        answer = {"client_name": name, "was_disabled": name in self.disabled}
        self.disabled.discard(name)
        return {"clients": [answer]}


def test_a_site_that_is_locked_out_is_refused_until_this_is_undone() -> None:
    connection, session = FlareServerConnection(KIT), Clients()
    connection._session = session
    assert not connection.lock_out("north")
    assert connection.lock_out("north")  # it was refused before
    assert session.disabled == {"north"}
    assert connection.lock_out("north", undo=True)
    assert not connection.lock_out("north", undo=True)
    assert session.disabled == set()


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


def test_the_command_revokes_only_a_hospital_of_the_federation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    init_federation(tmp_path / "kits", Federation("tiny", ("north",), "localhost", 1))
    connection, session = FlareServerConnection(KIT), Clients()
    connection._session = session
    monkeypatch.setattr(
        "fedcross.federate.kits.preflight.open_coordinator_kit", lambda kit, log: open_kit(kit)
    )
    monkeypatch.setattr(
        "fedcross.federate.flare.admin.open_server_connection", lambda kit: nullcontext(connection)
    )

    def call(*words: str) -> Result:
        kit = str(tmp_path / "kits" / "admin")
        return CliRunner().invoke(app, ["revoke", *words, "--kit", kit])

    wrong = call("nort")
    assert "There is no hospital 'nort'; the federation has north." in str(wrong.exception)
    assert session.disabled == set()
    assert "The server refuses north." in call("north").output
    assert session.disabled == {"north"}
    assert "The server accepts north." in call("north", "--undo").output
    assert "north was not refused." in call("north", "--undo").output
