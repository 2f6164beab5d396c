"""Cross learning on NVIDIA FLARE, by its Collab API: the server and the site inside a job.

The server holds the members and leads the run (`remote_run`); a site trains and judges (`site_work`).
A question to a site is handed over at once and its answer fetched later, so that a visit may take
hours while a site that died is noticed soon. Tensors travel as safetensors, by FLARE's own serialiser.
"""

import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from nvflare.collab import collab
from nvflare.collab.api.exceptions import CollabCallError

from fedcross.errors import FedCrossError
from fedcross.federate.flare.filters import filtered
from fedcross.federate.flare.job import RUN_FOLDER, RUNS, read_terms
from fedcross.federate.kits.site_settings import load_site_settings
from fedcross.federate.remote.run import Standing, run_remotely
from fedcross.federate.remote.site_work import Answer, SiteWork, Tensors, credentials
from fedcross.federate.remote.visits import SiteError, together
from fedcross.federate.supervise.coordinator import OUTCOME, PAUSE, RESULT, STATUS, Outcome
from fedcross.runtime.files.partial import PARTIAL
from fedcross.strategies.member import MemberState
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.run.folder import LOCK

LONG_POLL_S = 10.0
PAUSE_S = 1.0
State = Literal["finished", "paused", "refused"]
log = logging.getLogger("fedcross.federation")


class FederationServer:
    """The server's side of a job."""

    @collab.main  # type: ignore[untyped-decorator]
    def run(self) -> bool:
        """Lead the run until it is finished, paused or refused, and leave it with the job."""
        workspace, context = collab.workspace, collab.fl_ctx
        job = context.get_job_id()
        terms = read_terms(Path(workspace.get_app_config_dir(job)))
        folder = Path(os.environ.get(RUN_FOLDER) or Path(workspace.get_root_dir(), RUNS, terms.run))
        standing = Standing(terms.config.method.rounds)
        engine = context.get_engine()
        engine.register_app_command(STATUS, lambda topic, data, fl_ctx: standing.told())
        engine.register_app_command(PAUSE, lambda topic, data, fl_ctx: standing.pause())
        sites = FlareSites({client.name: client for client in collab.clients}, terms.config)
        try:
            run_remotely(terms.config, folder, sites, standing)
            state: State = "finished"
        except KeyboardInterrupt:
            state = "paused"
        except FedCrossError as error:
            state = "refused"
            standing.log(str(error))
        leave(folder, Path(workspace.get_run_dir(job), RESULT), state, standing)
        return True


class FlareSites:
    """The way to the sites that take part in a job.

    Parameters
    ----------
    proxies
        FLARE's, by the sites' names.
    config
        Of the run.
    """

    def __init__(self, proxies: Mapping[str, Any], config: TrainingConfig) -> None:
        names = {site.name for site in config.sites}
        self._proxies = {name: proxy for name, proxy in proxies.items() if name in names}
        self._silence_s = config.engine.silence_timeout_s
        self._patience_s = config.engine.visit_timeout_s
        self._bytes_per_s = config.engine.slowest_mbit_s * 125_000
        self._wait_s = min(LONG_POLL_S, self._silence_s / 2)

    def greet(self) -> dict[str, dict[str, str]]:
        """The credentials of every site that can take part, by its name."""

        def one(name: str) -> dict[str, str] | None:
            found: dict[str, str]
            try:
                found = self._site(name).hello()
            except CollabCallError as error:
                found = {"failed": str(error.cause_type)}
            if "failed" in found:
                log.warning("Site %s takes no part: %s.", name, found["failed"])
                return None
            return found

        names = list(self._proxies)
        told = zip(names, together(one, names), strict=True)
        return {name: found for name, found in told if found is not None}

    def __call__(
        self, site: str, task: str, members: Sequence[MemberState], round_index: int
    ) -> Answer:
        """Let a site do a task and wait for its answer; see `remote.Ask`."""
        if site not in self._proxies:
            raise SiteError(f"Site {site} is not connected.")
        tensors = [member.to_tensors() for member in members]
        size = sum(tensor.nbytes for each in tensors for tensor in each.values())
        try:
            ticket = self._site(site, size).begin(
                task=task, members=tensors, round_index=round_index
            )
        except CollabCallError as error:
            raise SiteError(f"Site {site} cannot be reached: {error.cause_type}.") from error
        answer = self._collect(site, ticket)
        if "failed" in answer:
            raise SiteError(f"Site {site} failed: {answer['failed']}; its own log says more.")
        return answer

    def _collect(self, site: str, ticket: int) -> Answer:
        """Fetch the answer; a silent site is asked again until it has been silent for too long."""
        began = heard = time.monotonic()
        while time.monotonic() - began < self._patience_s:
            try:
                answer: Answer | None = self._site(site).collect(ticket=ticket, wait_s=self._wait_s)
            except CollabCallError as error:
                if time.monotonic() - heard >= self._silence_s:
                    raise SiteError(
                        f"Site {site} was not heard of for {self._silence_s:g} s."
                    ) from error
                time.sleep(PAUSE_S)
                continue
            if answer is not None:
                return answer
            heard = time.monotonic()
        raise SiteError(f"Site {site} took longer than {self._patience_s:g} s.")

    def _site(self, name: str, size: int = 0) -> Any:
        """A site's proxy, with as much patience as a message of this size in bytes needs."""
        return self._proxies[name](timeout=self._silence_s + size / self._bytes_per_s)


class _SupersededError(Exception):
    """The server has given this task up and asked for another."""


class FederationSite:
    """A site's side of a job: one task at a time, the latest that the server asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="fedcross")
        self._config: TrainingConfig | None = None
        self._context: Any = None
        self._kit = Path()
        self._name = ""
        self._work: SiteWork | None = None
        self._ticket = 0
        self._task: Future[Answer] | None = None

    @collab.publish  # type: ignore[untyped-decorator]
    def hello(self) -> dict[str, str]:
        """The versions here and what it understands the configuration to be."""
        _only_for_the_server()
        workspace, self._context = collab.workspace, collab.fl_ctx
        folder = workspace.get_app_config_dir(self._context.get_job_id())
        self._config = read_terms(Path(folder)).config
        self._kit, self._name = Path(workspace.get_root_dir()), collab.site_name
        try:
            return credentials(self._config, load_site_settings(self._kit).configuration)
        except FedCrossError as error:
            log.error("%s", error)
            return {"failed": type(error).__name__}

    @collab.publish  # type: ignore[untyped-decorator]
    def begin(self, task: str, members: list[Tensors], round_index: int) -> int:
        """Begin a task; what was under way is given up. A ticket is returned."""
        _only_for_the_server()
        with self._lock:
            self._ticket += 1
            ticket = self._ticket
            self._task = self._pool.submit(self._answer, ticket, task, members, round_index)
        return ticket

    @collab.publish  # type: ignore[untyped-decorator]
    def collect(self, ticket: int, wait_s: float) -> Answer | None:
        """The task's answer, if it comes within this time; it may be fetched again."""
        _only_for_the_server()
        if ticket != self._ticket or self._task is None:
            return {"failed": "the task was given up"}
        try:
            error = self._task.exception(timeout=wait_s)
        except NotYet:
            return None
        if error is None:
            return self._task.result()
        log.error("The task failed: %s", error, exc_info=error)
        return {"failed": type(error).__name__}

    @collab.final  # type: ignore[untyped-decorator]
    def end(self) -> None:
        """Give up what is under way, so that the process can end."""
        with self._lock:
            self._ticket += 1
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _answer(
        self, ticket: int, task: str, members: Sequence[Tensors], round_index: int
    ) -> Answer:
        def progress(done: int, epochs: int) -> None:
            if ticket != self._ticket:
                raise _SupersededError

        if self._work is None:
            config = self._config
            assert config is not None, "the server says hello first"
            self._work = SiteWork(
                config,
                self._name,
                load_site_settings(self._kit),
                leave=lambda before, after: filtered(before, after, config.engine, self._context),
            )
        return self._work.do(task, members, round_index, progress)


def _only_for_the_server() -> None:
    """Refuse the questions of other sites, which FLARE lets through."""
    if collab.caller != "server":
        raise PermissionError(f"only the server may ask, got {collab.caller}.")


def leave(run: Path, target: Path, state: State, standing: Standing) -> None:
    """Put what goes home into the job's folder: the run, once finished with models, and how it ended."""
    left_out = [LOCK, f"{PARTIAL}*"] + ([] if state == "finished" else ["checkpoints"])
    if run.is_dir():
        shutil.copytree(run, target, ignore=shutil.ignore_patterns(*left_out))
    target.mkdir(exist_ok=True)
    outcome = Outcome(state=state, **standing.told())
    (target / OUTCOME).write_text(json.dumps(asdict(outcome)), encoding="utf-8")
