"""The coordinator's session with the server of NVIDIA FLARE: opened when needed, always closed."""

import contextlib
import io
import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nvflare.apis.fl_exception import FLCommunicationError
from nvflare.fuel.flare_api.api_spec import (
    AuthenticationError,
    AuthorizationError,
    CommandError,
    InternalError,
    InvalidJobDefinition,
    InvalidTarget,
    JobNotDone,
    JobNotFound,
    JobNotRunning,
    NoClientsAvailable,
    NoConnection,
    NoReply,
    SessionClosed,
)
from nvflare.fuel.flare_api.flare_api import Session, new_secure_session
from nvflare.fuel.hci.proto import MetaKey, MetaStatusValue

from fedcross.federate.kits.startup_kit import Kit
from fedcross.federate.supervise.coordinator import FederationError, GoneError, UnreachableError

LOGIN_S = 10.0


class FlareCoordinator:
    """A `Coordinator` over FLARE's own administration protocol; use it as a context manager.

    A session that is left open hangs the process, so leaving the context closes it, and so does
    every lost connection; the next call opens another.

    Parameters
    ----------
    kit
        The coordinator's.
    """

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._session: Session | None = None
        self._level = logging.NOTSET

    def __enter__(self) -> Self:
        # FLARE logs every failed attempt to connect, in its own terms.
        root = logging.getLogger()
        self._level = root.level
        root.setLevel(logging.CRITICAL)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()
        logging.getLogger().setLevel(self._level)

    def server(self) -> str:
        """See `Coordinator`."""
        with self._server() as session:
            return str(session.get_system_info().server_info.start_time)

    def submit(self, job: Path) -> str:
        """See `Coordinator`."""
        with self._server() as session:
            return str(session.submit_job(str(job)))

    def status(self, job: str) -> str:
        """See `Coordinator`."""
        with self._server() as session:
            return str(session.get_job_status(job))

    def sites(self, job: str) -> Mapping[str, bool]:
        """See `Coordinator`."""
        with self._server() as session:
            connected = {client.name for client in session.get_connected_client_list()}
            if not connected:
                return {}
            told = session.get_client_job_status(sorted(connected)) or []
        found: dict[str, bool] = {}
        for each in told:  # a site has a row for every job it works on
            name, status = each[MetaKey.CLIENT_NAME], each[MetaKey.STATUS]
            if status not in (MetaStatusValue.NO_REPLY, MetaStatusValue.ERROR):
                found[name] = found.get(name, False) or each.get(MetaKey.JOB_ID) == job
        return found

    def ask(self, job: str, topic: str) -> Mapping[str, Any]:
        """See `Coordinator`."""
        with self._server() as session:
            try:
                return dict(session.do_app_command(job, topic, {}))
            except InternalError as error:  # while it starts, it does not listen yet
                raise GoneError("The job does not listen.") from error

    def abort(self, job: str) -> None:
        """See `Coordinator`."""
        with contextlib.suppress(GoneError), self._server() as session:
            try:
                session.abort_job(job)
            except InternalError as error:  # so it says of a job that died with the server
                raise GoneError("The job does not run.") from error

    def download(self, job: str, folder: Path) -> Path:
        """See `Coordinator`."""
        with self._server() as session:
            found = session.download_job_result(job)
        if not found or not Path(found).is_dir():
            raise FederationError(f"The server has no result of job {job}.")
        target = folder / "result"
        shutil.move(found, target)
        return target

    @contextlib.contextmanager
    def _server(self) -> Iterator[Session]:
        """A session; what FLARE raises in it becomes one sentence."""
        where = f"The server {self._kit.host}:{self._kit.port}"
        try:
            if self._session is None:
                with contextlib.redirect_stdout(io.StringIO()):
                    self._session = new_secure_session(
                        self._kit.name, str(self._kit.path), timeout=LOGIN_S
                    )
            yield self._session
        except (NoConnection, SessionClosed, FLCommunicationError) as error:
            self._close()
            raise UnreachableError(f"{where} does not answer.") from error
        except (JobNotFound, JobNotRunning, NoReply) as error:
            raise GoneError(f"{where} does not run that job: {error}.") from error
        except (AuthenticationError, AuthorizationError) as error:
            raise FederationError(f"{where} does not let this kit in: {error}.") from error
        except JobNotDone as error:
            raise FederationError(
                "The job is still running.", "fedcross federation status says how far it is."
            ) from error
        except InvalidJobDefinition as error:
            raise FederationError(f"{where} refuses the job: {error}.") from error
        except (
            InternalError,
            CommandError,
            InvalidTarget,
            NoClientsAvailable,
            RuntimeError,
        ) as error:
            raise FederationError(f"{where} reports: {error}.") from error

    def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with contextlib.redirect_stdout(io.StringIO()):
                session._close_ignore_errors()
