"""Cross learning as a job of NVIDIA FLARE, by its Collab API: the server's and the site's process.

The server holds the members and runs the rounds (`remote.engine`); a site trains and evaluates
(`remote.site_work`). FLARE sends tensors as safetensors. The job's configuration names both classes by
their dotted paths in this module, and the server calls a site's published methods by their names.
"""

import logging
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import Any

from nvflare.collab import collab

from fedcross.errors import FedCrossError
from fedcross.federate.flare.filters import filter_member
from fedcross.federate.flare.job import RUN_FOLDER, RUNS, Job, read_job
from fedcross.federate.flare.results import State, write_result
from fedcross.federate.flare.site_connections import FlareSites
from fedcross.federate.kits.approval_words import request_approval
from fedcross.federate.kits.approvals import ApprovalError, require_approval
from fedcross.federate.kits.site_settings import SiteSettings, load_site_settings
from fedcross.federate.remote.bundle_job import BundleJob, CalibrationJob, ProfileJob
from fedcross.federate.remote.calibration import calibrate_for_job
from fedcross.federate.remote.engine import run_remote
from fedcross.federate.remote.figures import gather_remotely
from fedcross.federate.remote.profile import profile_for_job
from fedcross.federate.remote.setups import TooFewSitesError
from fedcross.federate.remote.site_work import Answer, SiteWork, Tensors, describe_setup
from fedcross.federate.remote.status import RunStatus
from fedcross.federate.remote.visit_record import SupersededError, VisitRecord
from fedcross.federate.supervise.followed_files import read_new_texts
from fedcross.federate.supervise.server_connection import (
    FILES,
    KNOWN,
    PAUSE,
    RESULT,
    STATUS,
)
from fedcross.runtime.plugins import allow_plugins
from fedcross.training.config.configuration import TrainingConfig, config_sha256
from fedcross.training.planning.figures import write_figures
from fedcross.training.run.monitor import append_log

log = logging.getLogger("fedcross.federation")


class FederationServer:
    """The server's part of a job."""

    @collab.main  # type: ignore[untyped-decorator]
    def run(self) -> bool:
        """Train until the run is finished, paused or refused, or do a job that leaves no run.

        The result is written into the job.
        """
        workspace, context = collab.workspace, collab.fl_ctx
        job_id = context.get_job_id()
        job = read_job(Path(workspace.get_app_config_dir(job_id)))
        folder = Path(
            os.environ.get(RUN_FOLDER) or Path(workspace.get_root_dir(), RUNS, job.run_id)
        )
        status = RunStatus(job.config.method.rounds)
        engine = context.get_engine()
        sites = FlareSites({client.name: client for client in collab.clients}, job.config)
        if job.plans or job.bundle_job:
            folder = Path(workspace.get_run_dir(job_id), "outcome")
        engine.register_app_command(STATUS, lambda topic, data, _: answer(status, folder, data))
        engine.register_app_command(PAUSE, lambda topic, data, _: status.request_pause())
        try:
            do_job(job, folder, sites, status)
            state: State = "finished"
        except KeyboardInterrupt:
            state = "paused"
        except TooFewSitesError as error:  # a later job may find them
            state = "paused"
            status.log(str(error))
        except FedCrossError as error:
            state = "refused"
            status.log(str(error))
        write_result(folder, Path(workspace.get_run_dir(job_id), RESULT), state, status)
        return True


def answer(status: RunStatus, folder: Path, data: Any) -> dict[str, Any]:
    """Answer the command STATUS, see `fedcross.federate.supervise.server_connection`."""
    known = data.get(KNOWN) if isinstance(data, dict) else None
    return {**status.as_record(), FILES: read_new_texts(folder, known)}


def do_job(job: Job, folder: Path, sites: FlareSites, status: RunStatus) -> None:
    """Gather the figures for a plan, calibrate a bundle, make its profile, or train, as the job says.

    A job that leaves no run also writes its lines into ``train.log`` of the folder.

    Raises
    ------
    FedCrossError, KeyboardInterrupt
        See `remote.engine.run_remote`.
    """
    if not (job.plans or job.bundle_job):
        run_remote(job.config, folder, sites, status, job.min_sites)
        return
    folder.mkdir(parents=True, exist_ok=True)

    def log(message: str) -> None:
        status.log(message)
        append_log(folder, message)

    if job.plans:
        write_figures(folder, gather_remotely(job.config, sites, log))
    elif isinstance(job.bundle_job, CalibrationJob):
        calibrate_for_job(job.config, job.bundle_job, folder, sites, log)
    elif isinstance(job.bundle_job, ProfileJob):
        profile_for_job(job.config, folder, sites, log)


class FederationSite:
    """A site's part of a job. It works on one task at a time; a new task ends the one before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="fedcross")
        self._config: TrainingConfig | None = None
        self._bundle_job: BundleJob | None = None
        self._context: Any = None
        self._kit = Path()
        self._name = ""
        self._work: SiteWork | None = None
        self._record: VisitRecord | None = None
        self._ticket = 0
        self._task: Future[Answer] | None = None

    @collab.publish  # type: ignore[untyped-decorator]
    def hello(self) -> dict[str, str]:
        """Read the job; return this site's setup, see `describe_setup`, or ``{"failed": type}``."""
        _require_server_as_caller()
        workspace, self._context = collab.workspace, collab.fl_ctx
        folder = workspace.get_app_config_dir(self._context.get_job_id())
        job = read_job(Path(folder))
        self._config, self._bundle_job = job.config, job.bundle_job
        self._kit, self._name = Path(workspace.get_root_dir()), collab.site_name
        record = self._record = VisitRecord(self._kit, job.run_id)
        try:
            settings = load_site_settings(self._kit)
            allow_plugins(*settings.plugins)
            if settings.configuration not in (None, config_sha256(self._config)):
                record.refuse("another-configuration-than-agreed")
            else:
                request_approval(self._kit, self._name, settings, self._config, job.purpose)
            return describe_setup(self._config, settings.configuration)
        except ApprovalError as error:
            log.warning("%s", error)
            record.refuse(error.reason)
            return {"failed": error.reason}
        except FedCrossError as error:
            log.error("%s", error)
            record.refuse(type(error).__name__)
            return {"failed": type(error).__name__}

    @collab.publish  # type: ignore[untyped-decorator]
    def begin(self, task: str, members: list[Tensors], round_index: int) -> int:
        """Begin a task and return its ticket for `collect`; see `SiteWork.do` for the parameters."""
        _require_server_as_caller()
        with self._lock:
            self._ticket += 1
            ticket = self._ticket
            self._task = self._pool.submit(self._work_on, ticket, task, members, round_index)
        return ticket

    @collab.publish  # type: ignore[untyped-decorator]
    def collect(self, ticket: int, wait_s: float) -> Answer | None:
        """Return the answer of a task, again at every call; None if it takes longer than `wait_s`.

        The answer of a failed task is ``{"failed": type of the error}``.
        """
        _require_server_as_caller()
        if ticket != self._ticket or self._task is None:
            return {"failed": "the task was given up"}
        try:
            error = self._task.exception(timeout=wait_s)
        except FutureTimeoutError:
            return None
        if error is None:
            return self._task.result()
        log.error("The task failed: %s", error, exc_info=error)
        return {"failed": type(error).__name__}

    @collab.final  # type: ignore[untyped-decorator]
    def end(self) -> None:
        """End the current task after its epoch, so that the process can exit."""
        with self._lock:
            self._ticket += 1
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _work_on(
        self, ticket: int, task: str, members: Sequence[Tensors], round_index: int
    ) -> Answer:
        def end_if_superseded(done: int, epochs: int) -> None:
            if ticket != self._ticket:
                raise SupersededError

        assert self._record is not None, "the server calls hello first"
        with self._record.task(task, round_index) as record:
            assert self._config is not None
            # At every task, because the hospital may withdraw its approval during a run.
            settings = load_site_settings(self._kit)
            require_approval(self._kit, settings, config_sha256(self._config))
            work = self._open_work(settings)
            answer = work.do(task, members, round_index, end_if_superseded)
            record.store(answer, work.found)
        return answer

    def _open_work(self, settings: SiteSettings) -> SiteWork:
        if self._work is None:
            config = self._config
            assert config is not None
            self._work = SiteWork(
                config,
                self._name,
                settings,
                lambda before, after: filter_member(before, after, config.engine, self._context),
                self._bundle_job,
            )
        return self._work


def _require_server_as_caller() -> None:
    """Raise PermissionError if another site calls; FLARE permits such calls."""
    if collab.caller != "server":
        raise PermissionError(f"only the server may call this, got {collab.caller}.")
