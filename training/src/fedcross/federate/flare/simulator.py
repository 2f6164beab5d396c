"""NVIDIA FLARE's simulator: a process for the server and one for each site."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from fedcross.errors import FedCrossError
from fedcross.federate.flare.job import RUN_FOLDER, build_job
from fedcross.federate.flare.processes import flare_environment, stop_process_tree
from fedcross.federate.kits.hardening import ALLOWED_CLASSES
from fedcross.federate.kits.site_settings import SITE_FILE, Figure
from fedcross.federate.supervise.server_connection import OUTCOME, RESULT
from fedcross.runtime.plugins import allow_plugins
from fedcross.runtime.reporting import NullReporter, Reporter
from fedcross.runtime.signals import interrupt_on_terminate
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.custom_parts import require_plugins
from fedcross.training.run.monitor import LOG, log_message

JOB = "simulate_job"  # FLARE's name of the simulator's only job
POLL_S = 0.5


def run_simulated(
    config: TrainingConfig,
    out: Path,
    *,
    device: str = "auto",
    reporter: Reporter | None = None,
) -> None:
    """Train with every site in its own process; an existing run in `out` is continued.

    Parameters
    ----------
    config
        The configuration; all sites read from its data folder.
    out
        Run folder. FLARE works in the folder ``.<name of out>.flare`` beside it. That folder is
        removed at the end, but stays, with FLARE's log, if the run does not finish.
    device
        ``auto``, ``cpu`` or ``cuda:N``.
    reporter
        Receives the stage and the run's log lines; None for no reports.

    Raises
    ------
    ConfigError
        If FLARE cannot run the method, or does not allow a site's name; see `build_job`.
    PluginError
        If a part of the configuration is code of another package that is not installed or not allowed.
    FedCrossError
        If the run does not finish.
    """
    allow_plugins(*config.plugins)
    require_plugins(config)
    reporter = reporter or NullReporter()
    scratch = out.absolute().with_name(f".{out.name}.flare")
    shutil.rmtree(scratch, ignore_errors=True)
    workspace = scratch / "workspace"
    job_folder = build_job(config, scratch, run_id=out.name)
    _write_site_files(workspace / "local", config, device)
    reporter.stage("train", f"Training at {len(config.sites)} sites on NVIDIA FLARE's simulator")
    log = _LogFollower(out / LOG, reporter)
    with interrupt_on_terminate():
        command = _simulator_command(job_folder, workspace, config)
        _run(command, out.absolute(), scratch / "log.txt", log.report_new_lines)
    log.report_new_lines()
    _check_outcome(workspace, f"see {scratch.name}/log.txt")
    shutil.rmtree(scratch, ignore_errors=True)


def simulate_job(job_folder: Path, config: TrainingConfig, device: str) -> Path:
    """Run a job that leaves no run beside its folder; return the folder with its result.

    Parameters
    ----------
    job_folder
        The job, see `fedcross.federate.flare.job`; the files of the simulator go beside it.
    config
        The configuration; all sites read from its data folder.
    device
        ``auto``, ``cpu`` or ``cuda:N``.

    Raises
    ------
    FedCrossError
        If the job does not finish.
    """
    folder = job_folder.parent
    _write_site_files(folder / "workspace" / "local", config, device)
    with interrupt_on_terminate():
        command = _simulator_command(job_folder, folder / "workspace", config)
        _run(command, folder / "run", folder / "log.txt", lambda: None)
    return _check_outcome(folder / "workspace", "fedcross data check may name the reason")


def _check_outcome(workspace: Path, hint: str) -> Path:
    """Return the folder with the result of the simulator's job; FedCrossError if it did not finish."""
    result = workspace / "server" / JOB / RESULT
    if not (result / OUTCOME).is_file():
        raise FedCrossError(f"NVIDIA FLARE's simulator failed; {hint}.")
    outcome = json.loads((result / OUTCOME).read_text(encoding="utf-8"))
    if outcome["state"] != "finished":
        raise FedCrossError(outcome["message"])
    return result


def _write_site_files(folder: Path, config: TrainingConfig, device: str) -> None:
    """Write the files that the simulator copies into the folder of every site."""
    folder.mkdir(parents=True)
    resources = {"format_version": 2, "class_allow_list": list(ALLOWED_CLASSES)}
    (folder / "resources.json").write_text(json.dumps(resources), encoding="utf-8")
    lines = [f"data = {json.dumps(str(config.data_root.absolute()))}", f'device = "{device}"']
    lines.append(f"share = {json.dumps(get_args(Figure))}")
    if config.cache is not None:
        lines.append(f"cache = {json.dumps(str(config.cache.absolute()))}")
    (folder / SITE_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _simulator_command(job_folder: Path, workspace: Path, config: TrainingConfig) -> list[str]:
    names = [site.name for site in config.sites]
    module = "nvflare.private.fed.app.simulator.simulator"
    clients = ["-c", ",".join(names), "-t", str(len(names)), "-m", str(len(names))]
    return [sys.executable, "-m", module, str(job_folder), "-w", str(workspace), *clients]


def _run(command: list[str], out: Path, log: Path, poll: Callable[[], None]) -> None:
    """Run the simulator to its end and call `poll` meanwhile.

    If this process is interrupted, the simulator's process and all its descendants are ended.
    """
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**flare_environment(), RUN_FOLDER: str(out)},
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                time.sleep(POLL_S)
                poll()
        finally:
            if process.poll() is None:
                stop_process_tree(process.pid)
                process.wait()


class _LogFollower:
    """Passes new lines of a log file, without their time stamps, to a reporter.

    Parameters
    ----------
    path
        The log file; it may be missing. Lines that it has at first are skipped.
    reporter
        Receives the lines.
    """

    def __init__(self, path: Path, reporter: Reporter) -> None:
        self._path, self._reporter = path, reporter
        self._position = path.stat().st_size if path.is_file() else 0  # in bytes

    def report_new_lines(self) -> None:
        """Pass on the complete lines that were written since the last call."""
        if not self._path.is_file():
            return
        with self._path.open(encoding="utf-8") as file:
            file.seek(self._position)
            for line in file:
                if not line.endswith("\n"):
                    break
                self._reporter.log(log_message(line))
                self._position += len(line.encode("utf-8"))
