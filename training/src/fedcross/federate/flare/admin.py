"""The coordinator's connection to the server over NVIDIA FLARE's administration protocol."""

import contextlib
import io
import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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
from fedcross.federate.supervise.server_connection import (
    FederationError,
    JobNotRunningError,
    UnreachableError,
)

LOGIN_S = 10.0


@contextlib.contextmanager
def open_server_connection(kit: Kit) -> Iterator["FlareServerConnection"]:
    """Yield a connection with the coordinator's kit; the session is closed at the end.

    Meanwhile FLARE's own log messages below CRITICAL are not shown: it logs every failed attempt to
    connect.
    """
    connection = FlareServerConnection(kit)
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.CRITICAL)
    try:
        yield connection
    finally:
        connection.close()
        root.setLevel(level)


class FlareServerConnection:
    """A `ServerConnection` that logs in at the first call and again after a lost connection.

    Call `close` at the end: an open session keeps the process from ending.

    Parameters
    ----------
    kit
        The coordinator's startup kit.
    """

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._session: Session | None = None

    def get_server_start_time(self) -> str:
        """See `ServerConnection`."""
        with self._open_session() as session:
            return str(session.get_system_info().server_info.start_time)

    def submit_job(self, job_folder: Path) -> str:
        """See `ServerConnection`."""
        with self._open_session() as session:
            return str(session.submit_job(str(job_folder)))

    def get_job_status(self, job_id: str) -> str:
        """See `ServerConnection`."""
        with self._open_session() as session:
            return str(session.get_job_status(job_id))

    def get_sites(self, job_id: str) -> Mapping[str, bool]:
        """See `ServerConnection`."""
        with self._open_session() as session:
            connected = {client.name for client in session.get_connected_client_list()}
            if not connected:
                return {}
            rows = session.get_client_job_status(sorted(connected)) or []
        takes_part: dict[str, bool] = {}
        for row in rows:  # a site has one row for every job that it works on
            name, status = row[MetaKey.CLIENT_NAME], row[MetaKey.STATUS]
            if status not in (MetaStatusValue.NO_REPLY, MetaStatusValue.ERROR):
                is_this_job = row.get(MetaKey.JOB_ID) == job_id
                takes_part[name] = takes_part.get(name, False) or is_this_job
        return takes_part

    def send_command(
        self, job_id: str, topic: str, data: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        """See `ServerConnection`."""
        with self._open_session() as session:
            try:
                return dict(session.do_app_command(job_id, topic, dict(data or {})))
            except InternalError as error:  # raised while the job starts
                raise JobNotRunningError("The job does not accept commands.") from error

    def abort_job(self, job_id: str) -> None:
        """See `ServerConnection`."""
        with contextlib.suppress(JobNotRunningError), self._open_session() as session:
            try:
                session.abort_job(job_id)
            except InternalError as error:  # raised for a job that died with an earlier server
                raise JobNotRunningError("The job does not run.") from error

    def download_result(self, job_id: str, folder: Path) -> Path:
        """See `ServerConnection`."""
        with self._open_session() as session:
            downloaded = session.download_job_result(job_id)
        if not downloaded or not Path(downloaded).is_dir():
            raise FederationError(f"The server has no result of job {job_id}.")
        target = folder / "result"
        shutil.move(downloaded, target)
        return target

    def lock_out(self, site: str, *, undo: bool = False) -> bool:
        """Let the server refuse a site, also after its restart; return whether it refused it before.

        FLARE refuses the name, which the site's certificate must have. It does not revoke certificates.

        Parameters
        ----------
        site
            Name of the site.
        undo
            Whether the server accepts the site again.

        Raises
        ------
        FederationError
            If the server cannot be reached or reports an error.
        """
        with self._open_session() as session:
            answer = (session.enable_client if undo else session.disable_client)(site)
        key = "was_disabled" if undo else "already_disabled"
        return any(bool(each.get(key)) for each in answer["clients"])

    def close(self) -> None:
        """Close the session, if one is open."""
        session, self._session = self._session, None
        if session is not None:
            with contextlib.redirect_stdout(io.StringIO()):
                session._close_ignore_errors()

    @contextlib.contextmanager
    def _open_session(self) -> Iterator[Session]:
        """Yield the session; FLARE's exceptions become `FederationError` of one sentence."""
        server = f"The server {self._kit.host}:{self._kit.port}"
        try:
            if self._session is None:
                with contextlib.redirect_stdout(io.StringIO()):
                    self._session = new_secure_session(
                        self._kit.name, str(self._kit.path), timeout=LOGIN_S
                    )
            yield self._session
        except (NoConnection, SessionClosed, FLCommunicationError) as error:
            self.close()
            raise UnreachableError(f"{server} does not answer.") from error
        except (JobNotFound, JobNotRunning, NoReply) as error:
            raise JobNotRunningError(f"{server} does not run that job: {error}.") from error
        except (AuthenticationError, AuthorizationError) as error:
            raise FederationError(f"{server} rejects this kit: {error}.") from error
        except JobNotDone as error:
            raise FederationError(
                "The job is still running.", "fedcross federation status shows its progress."
            ) from error
        except InvalidJobDefinition as error:
            raise FederationError(f"{server} refuses the job: {error}.") from error
        except (
            InternalError,
            CommandError,
            InvalidTarget,
            NoClientsAvailable,
            RuntimeError,
        ) as error:
            raise FederationError(f"{server} reports: {error}.") from error
