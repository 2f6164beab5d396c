"""A run as a job for NVIDIA FLARE: a folder of JSON, without code and without patients' data.

::

    meta.json                          who takes part
    app/config/config_fed_server.json  classes, which are installed at the server and at
    app/config/config_fed_client.json  the sites
    app/config/federation.json         the configuration
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedcross.errors import ConfigError
from fedcross.federate.kits.provision import SITE_PATTERN
from fedcross.training.config.configuration import TrainingConfig, config_values, parse_config

TERMS = "federation.json"
RUNS = "runs"  # in the server's kit: the folders of all runs
# In the environment of the server's process: where it keeps the run, if not in its kit.
RUN_FOLDER = "FEDCROSS_RUN_FOLDER"
START_S = 300  # sites import PyTorch before they answer for the first time


@dataclass(frozen=True)
class Terms:
    """What a job says to server and sites.

    Attributes
    ----------
    run
        Identity of the run.
    config
        Its configuration.
    """

    run: str
    config: TrainingConfig


def build_job(config: TrainingConfig, folder: Path, *, run_id: str) -> Path:
    """Write a job.

    Parameters
    ----------
    config
        Of the run.
    folder
        Where to make the job's folder.
    run_id
        Identity of the run at the server; jobs with the same one go on with the same run.

    Returns
    -------
    Path
        The job's folder.

    Raises
    ------
    ConfigError
        If the method needs the cases in one place, or a site has a name that FLARE does not allow.
    """
    if config.method.pools_cases:
        raise ConfigError(
            "centralised needs the cases of all sites in one place, got engine.kind = "
            f'"{config.engine.kind}".',
            'Use engine.kind = "local", or another method.',
        )
    for site in config.sites:
        if not SITE_PATTERN.fullmatch(site.name):
            raise ConfigError(
                f"The site {site.name!r} has a name that NVIDIA FLARE does not allow."
            )
    job = folder / run_id
    target = job / "app" / "config"
    target.mkdir(parents=True)
    _write(target / "config_fed_server.json", _server_app())
    _write(target / "config_fed_client.json", _client_app())
    _write(target / TERMS, {"run": run_id, "configuration": config_values(config)})
    _write(
        job / "meta.json",
        {
            "name": run_id,
            "resource_spec": {},
            "deploy_map": {"app": ["server", *(site.name for site in config.sites)]},
            "min_clients": min(config.engine.min_sites, len(config.sites)),
        },
    )
    return job


def read_terms(folder: Path) -> Terms:
    """What a job says, from the folder of its app's configuration.

    Raises
    ------
    ConfigError
        If it cannot be read.
    """
    try:
        content = json.loads((folder / TERMS).read_text(encoding="utf-8"))
        return Terms(content["run"], parse_config(content["configuration"], source=TERMS))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{TERMS} of the job cannot be read.") from error


def _server_app() -> dict[str, Any]:
    arguments = {"server_obj_id": "_server", "sync_task_timeout": START_S}
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
    executor = "nvflare.collab.runtime.executor.CollabExecutor"
    return {
        "format_version": 2,
        "executors": [
            {
                "tasks": ["*"],
                "executor": {"path": executor, "args": {"client_obj_id": "_client"}},
            }
        ],
        "components": [
            {"id": "_client", "path": "fedcross.federate.flare.collab.FederationSite", "args": {}}
        ],
        "task_data_filters": [],
        "task_result_filters": [],
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
