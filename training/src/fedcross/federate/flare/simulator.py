"""A federation on one machine with NVIDIA FLARE's simulator: a process for the server and each site."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from fedcross.errors import FedCrossError
from fedcross.federate.flare.job import RUN_FOLDER, build_job
from fedcross.federate.flare.start import environment, stop
from fedcross.federate.kits.contents import CLASSES
from fedcross.federate.kits.site_settings import SITE_FILE
from fedcross.federate.supervise.coordinator import OUTCOME, RESULT
from fedcross.runtime.reporting import NullReporter, Reporter
from fedcross.runtime.signals import interrupt_on_terminate
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.run.monitor import LOG

JOB = "simulate_job"  # FLARE's name for the one job
POLL_S = 0.5


def run_simulated(
    config: TrainingConfig,
    out: Path,
    *,
    device: str = "auto",
    reporter: Reporter | None = None,
) -> None:
    """Train as the configuration says, every site in a process of its own.

    A run in `out` goes on after its last finished round.

    Parameters
    ----------
    config
        The configuration; its data folder serves all sites.
    out
        Run folder. FLARE works in a folder beside it, which is removed at the end, and kept with its
        logs if the run does not finish.
    device
        ``auto``, ``cpu`` or ``cuda:N``.
    reporter
        Hears a sentence after every round.

    Raises
    ------
    ConfigError
        If the method or a site's name does not suit FLARE.
    FedCrossError
        If the run does not finish.
    """
    hear = reporter or NullReporter()
    scratch = out.absolute().with_name(f".{out.name}.flare")
    shutil.rmtree(scratch, ignore_errors=True)
    workspace = scratch / "workspace"
    job = build_job(config, scratch, run_id=out.name)
    _write_local(workspace / "local", config, device)
    hear.stage("train", f"Training at {len(config.sites)} sites on NVIDIA FLARE's simulator")
    lines = _Lines(out / LOG, hear)
    with interrupt_on_terminate():
        _run(_command(job, workspace, config), out.absolute(), scratch / "log.txt", lines)
    lines()
    found = workspace / "server" / JOB / RESULT / OUTCOME
    if not found.is_file():
        raise FedCrossError(f"NVIDIA FLARE's simulator failed; see {scratch.name}/log.txt.")
    outcome = json.loads(found.read_text(encoding="utf-8"))
    if outcome["state"] != "finished":
        raise FedCrossError(outcome["message"])
    shutil.rmtree(scratch, ignore_errors=True)


def _write_local(folder: Path, config: TrainingConfig, device: str) -> None:
    """What the simulator copies into every site's own folder."""
    folder.mkdir(parents=True)
    resources = {"format_version": 2, "class_allow_list": list(CLASSES)}
    (folder / "resources.json").write_text(json.dumps(resources), encoding="utf-8")
    lines = [f"data = {json.dumps(str(config.data_root.absolute()))}", f'device = "{device}"']
    if config.cache is not None:
        lines.append(f"cache = {json.dumps(str(config.cache.absolute()))}")
    (folder / SITE_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _command(job: Path, workspace: Path, config: TrainingConfig) -> list[str]:
    names = [site.name for site in config.sites]
    module = "nvflare.private.fed.app.simulator.simulator"
    clients = ["-c", ",".join(names), "-t", str(len(names)), "-m", str(len(names))]
    return [sys.executable, "-m", module, str(job), "-w", str(workspace), *clients]


def _run(command: list[str], out: Path, log: Path, meanwhile: Callable[[], None]) -> None:
    """Run the simulator to its end; its whole family ends when this process is interrupted."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**environment(), RUN_FOLDER: str(out)},
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                time.sleep(POLL_S)
                meanwhile()
        finally:
            if process.poll() is None:
                stop(process.pid)
                process.wait()


class _Lines:
    """The new lines of a run's log, passed on."""

    def __init__(self, path: Path, reporter: Reporter) -> None:
        self._path, self._reporter = path, reporter
        self._read = path.stat().st_size if path.is_file() else 0

    def __call__(self) -> None:
        """Pass on what was written since."""
        if not self._path.is_file():
            return
        with self._path.open(encoding="utf-8") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith("\n"):
                    break
                self._reporter.log(line.split("  ", 1)[-1].rstrip())
                self._read += len(line.encode("utf-8"))
