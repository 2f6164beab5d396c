"""A run as a job for NVIDIA FLARE: a folder of JSON files, without code and without patients' data.

If the run begins from a bundle, the server's copy of the app also has the bundle's members; the sites do
not get it. A job about a bundle (its calibration or profile) brings its metadata and members to the
server and the sites.

::

    meta.json                          the sites that take part
    app/config/config_fed_server.json  class to run at the server (installed there already)
    app/config/config_fed_client.json  class to run at every site (installed there already)
    app/config/federation.json         identifier and configuration of the run
    app/config/bundle/                 metadata and members of the bundle that the job is about
    server-app/config/start/           metadata and members of the bundle that the run begins from
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from fedcross.contract.parse import parse_json
from fedcross.errors import ConfigError
from fedcross.federate.kits.approvals import Purpose
from fedcross.federate.kits.provision import SITE_PATTERN
from fedcross.federate.remote.bundle_job import BundleJob, CalibrationJob, ProfileJob
from fedcross.training.config.configuration import TrainingConfig, config_values, parse_config
from fedcross.training.run.start import copy_start
from fedcross.uncertainty.risk_control import Pooling

JOB_FILE = "federation.json"
SERVER_APP, START, BUNDLE = "server-app", "start", "bundle"
RUNS = "runs"  # folder in the server's kit: the run folders of all runs
# Environment variable of the server's process: the run folder, if it is not in the kit.
RUN_FOLDER = "FEDCROSS_RUN_FOLDER"
START_TIMEOUT_S = 300  # sites import PyTorch before their first answer


@dataclass(frozen=True)
class Job:
    """Content of a job's ``federation.json``.

    Attributes
    ----------
    run_id
        Identifier of the run; name of its folder at the server.
    config
        Configuration of the run.
    plans
        Whether the job only gathers the figures for a plan.
    bundle_job
        What the job makes for a bundle; None for other jobs.
    min_sites
        Number of sites that must be able to train before the job trains.
    """

    run_id: str
    config: TrainingConfig
    plans: bool = False
    bundle_job: BundleJob | None = None
    min_sites: int = 1

    @property
    def purpose(self) -> Purpose:
        """What the job is for, as a hospital reads it that approves configurations."""
        if isinstance(self.bundle_job, CalibrationJob):
            return "calibration"
        if isinstance(self.bundle_job, ProfileJob):
            return "profile"
        return "plan" if self.plans else "training"


def build_job(
    config: TrainingConfig,
    folder: Path,
    *,
    run_id: str,
    plans: bool = False,
    min_sites: int | None = None,
) -> Path:
    """Write a job folder.

    Parameters
    ----------
    config
        Configuration of the run.
    folder
        Folder in which the job folder is made.
    run_id
        Identifier of the run at the server and name of the job folder. A job with the identifier of
        an earlier run continues that run.
    plans
        Whether the job only gathers the figures for a plan.
    min_sites
        Number of sites that must be able to train before the job trains; None for that of the
        configuration.

    Returns
    -------
    Path
        The job folder.

    Raises
    ------
    ConfigError
        If the method is ``centralised``, a site has a name that FLARE does not allow, or the bundle of
        ``[start]`` does not fit.
    """
    if config.method.pools_cases:
        raise ConfigError(
            "centralised needs the cases of all sites in one place, got engine.kind = "
            f'"{config.engine.kind}".',
            'Use engine.kind = "local", or another method.',
        )
    job = new_job(config, folder, run_id)
    server, sites = "server", [site.name for site in config.sites]
    deploy_map = {"app": [server, *sites]}
    # An older server does not find the run in a job that plans or calibrates, and refuses it.
    content: dict[str, Any] = {"plan": run_id}
    if not plans:
        content = {"run": run_id, "min_sites": config.count_needed_sites(min_sites)}
    write_app(job / "app" / "config", config, content)
    if not plans and config.start.bundle is not None and config.start.bundle.exists():
        deploy_map = {"app": sites, SERVER_APP: [server]}
        write_app(job / SERVER_APP / "config", config, content)
        copy_start(config, job / SERVER_APP / "config" / START)
    write_meta(job, deploy_map)
    return job


def new_job(config: TrainingConfig, folder: Path, run_id: str) -> Path:
    """Return the place of a job folder; ConfigError if FLARE does not allow the name of a site."""
    for site in config.sites:
        if not SITE_PATTERN.fullmatch(site.name):
            raise ConfigError(
                f"The site {site.name!r} has a name that NVIDIA FLARE does not allow."
            )
    return folder / run_id


def write_meta(job: Path, deploy_map: dict[str, list[str]]) -> None:
    """Write ``meta.json`` of a job, which says which app goes to the server and to each site."""
    # FLARE ends a running job that has fewer clients. A run goes on without a site that leaves; the
    # number of sites at its start is checked by the supervisor and by `remote.engine`.
    _write(
        job / "meta.json",
        {"name": job.name, "resource_spec": {}, "deploy_map": deploy_map, "min_clients": 1},
    )


def write_app(target: Path, config: TrainingConfig, content: dict[str, Any]) -> None:
    """Write the files of an app: FLARE's, and ours with the configuration and some content."""
    target.mkdir(parents=True)
    _write(target / "config_fed_server.json", _server_app())
    _write(target / "config_fed_client.json", _client_app())
    _write(target / JOB_FILE, {**content, "configuration": config_values(config)})


def read_job(folder: Path) -> Job:
    """Read the run's identifier and configuration from ``app/config`` of a job.

    Raises
    ------
    ConfigError
        If the file is missing or damaged, or the configuration is not valid.
    """
    try:
        content = parse_json((folder / JOB_FILE).read_text(encoding="utf-8"))
        config = parse_config(content["configuration"], source=JOB_FILE, is_record=True)
        if (folder / START).is_dir():
            start = config.start.model_copy(update={"bundle": folder / START})
            config = config.model_copy(update={"start": start})
        if "calibration" in content or "profile" in content:
            return _bundle_job(content, config, folder / BUNDLE)
        plans = "plan" in content
        min_sites = int(content.get("min_sites", 1))
        return Job(content["plan" if plans else "run"], config, plans, min_sites=min_sites)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{JOB_FILE} of the job cannot be read.") from error


def _bundle_job(content: dict[str, Any], config: TrainingConfig, bundle: Path) -> Job:
    parts = tuple(map(str, content["parts"]))
    if "profile" in content:
        return Job(content["profile"], config, bundle_job=ProfileJob(bundle, parts))
    pooling = content["pooling"]
    if pooling not in get_args(Pooling):
        raise ValueError(f"pooling must be one of {get_args(Pooling)}, got {pooling!r}")
    return Job(content["calibration"], config, bundle_job=CalibrationJob(bundle, parts, pooling))


def _server_app() -> dict[str, Any]:
    arguments = {"server_obj_id": "_server", "sync_task_timeout": START_TIMEOUT_S}
    controller = "nvflare.collab.runtime.controller.CollabController"
    return {
        "format_version": 2,
        "workflows": [{"id": "controller", "path": controller, "args": arguments}],
        "components": [
            {"id": "_server", "path": "fedcross.federate.flare.collab.FederationServer", "args": {}}
        ],
        "task_data_filters": [],
        "task_result_filters": [],
    }


def _client_app() -> dict[str, Any]:
    path = "nvflare.collab.runtime.executor.CollabExecutor"
    executor = {"path": path, "args": {"client_obj_id": "_client"}}
    return {
        "format_version": 2,
        "executors": [{"tasks": ["*"], "executor": executor}],
        "components": [
            {"id": "_client", "path": "fedcross.federate.flare.collab.FederationSite", "args": {}}
        ],
        "task_data_filters": [],
        "task_result_filters": [],
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
