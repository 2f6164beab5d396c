"""The FLARE process of a startup kit: start it, restart it when it ends, stop it with its children.

A kit has one such process at a time; a lock in its folder sees to it.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator

import psutil

from fedcross.errors import ConfigError, FedCrossError
from fedcross.federate.flare.audit_log import bounded_audit_log
from fedcross.federate.flare.console import follow_output
from fedcross.federate.kits.hardening import set_storage_paths
from fedcross.federate.kits.preflight import check_start
from fedcross.federate.kits.site_settings import load_site_settings
from fedcross.federate.kits.site_status import KIT_LOCK
from fedcross.federate.kits.startup_kit import Kit
from fedcross.runtime.files.lock import folder_lock
from fedcross.runtime.plugins import VARIABLE, allowed_plugins
from fedcross.runtime.signals import interrupt_on_terminate

MAIN_MODULES = (
    "nvflare.private.fed.app.server.server_train",
    "nvflare.private.fed.app.client.client_train",
)
JOB_MODULES = (
    "nvflare.private.fed.app.server.runner_process",
    "nvflare.private.fed.app.client.worker_process",
)
STARTER = "fedcross.federate.flare.start_flare"
RESTART_DELAY_S = 3.0
# Give up after so many ends in a row, each sooner after the start than SHORT_RUN_S.
MAX_SHORT_RUNS = 5
SHORT_RUN_S = 60.0
FOLLOW_TIMEOUT_S = 2.0  # for the last lines of an ended process
TERMINATE_TIMEOUT_S = 5.0  # from SIGTERM to SIGKILL
# Sizes in bytes in which a receiver requests a member, and in which FLARE sends it.
CHUNK_SIZES = {
    "NVFLARE_TENSOR_DOWNLOAD_CHUNK_SIZE": 16 * 2**20,
    "NVFLARE_STREAMING_CHUNK_SIZE": 4 * 2**20,
}


def flare_command(kit: Kit) -> list[str]:
    """The command line of the FLARE process of a server's or a site's kit."""
    app, settings, identity = (
        ("server.server_train", "fed_server.json", [])
        if kit.kind == "server"
        else ("client.client_train", "fed_client.json", [f"uid={kit.name}"])
    )
    module = f"nvflare.private.fed.app.{app}"
    options = ["secure_train=true", *identity, "org=fedcross", "config_folder=config"]
    start = [sys.executable, "-m", STARTER, str(kit.path), module]
    return [*start, "-m", str(kit.path), "-s", settings, "--set", *options]


def keep_running(kit: Kit, log: Callable[[str], None]) -> None:
    """Run the process of a server's or a site's kit until SIGTERM or Ctrl-C; restart it if it ends.

    Parameters
    ----------
    kit
        The server's or a site's startup kit.
    log
        Receives a sentence at every start and end of the process.

    Raises
    ------
    ConfigError
        If the kit is in use by another process, or cannot be used; see `check_start`.
    UntrustedError
        If a hospital's kit and the server do not accept each other's certificates.
    FedCrossError
        If the process ends within 60 s of its start five times in a row.
    """
    hint = "A kit runs once; end the other process first."
    with folder_lock(kit.path / KIT_LOCK, kind="startup kit", hint=hint, error_class=ConfigError):
        end_leftovers(kit)
        check_start(kit, log)
        prepare_kit(kit)
        _restart_until_hopeless(kit, log)


def _restart_until_hopeless(kit: Kit, log: Callable[[str], None]) -> None:
    short_runs = 0
    while short_runs < MAX_SHORT_RUNS:
        started = time.monotonic()
        log(f"Starting {kit.name} of {kit.federation}, server {kit.host}:{kit.port}.")
        code = _run(kit, log)
        short_runs = short_runs + 1 if time.monotonic() - started < SHORT_RUN_S else 1
        log(f"The process ended with code {code}; see {kit.path.name}/log.txt.")
        time.sleep(RESTART_DELAY_S)
    raise FedCrossError(
        f"The process of {kit.name} ended {MAX_SHORT_RUNS} times within {SHORT_RUN_S:g} s of "
        "its start.",
        f"See the end of {kit.path.name}/console.log.",
    )


def end_leftovers(kit: Kit) -> None:
    """End the kit's process that an earlier start left behind when it was killed.

    Call it while the kit is locked: then no other start runs.
    """
    for process in processes_of(kit, MAIN_MODULES):
        stop_process_tree(process.pid)


def prepare_kit(kit: Kit) -> None:
    """Prepare a kit for a start on this machine.

    End the jobs that an earlier process left running. Set the storage paths of a server; check the
    settings and the data folder of a site.
    """
    end_orphans(kit)
    if kit.kind == "server":
        set_storage_paths(kit.path)
    elif not (settings := load_site_settings(kit.path)).data.is_dir():
        raise ConfigError(f"local/site.toml: the folder data does not exist, got {settings.data}.")


def end_orphans(kit: Kit) -> None:
    """End the kit's job processes whose parent died: they occupy the GPU or lock the run folder."""
    for process in processes_of(kit, JOB_MODULES):
        parent = process.parent()
        if parent is None or str(kit.path) not in parent.cmdline():
            stop_process_tree(process.pid)


def processes_of(kit: Kit, modules: Collection[str]) -> Iterator[psutil.Process]:
    """The processes with the kit's path and one of the modules in their command line."""
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if str(kit.path) in words and any(name in words for name in modules):
            yield process


def _run(kit: Kit, log: Callable[[str], None]) -> int:
    """Run the process to its end and return its exit code; its output goes through `follow_output`.

    Meanwhile its audit log is kept below a size.

    On SIGTERM or Ctrl-C the process and its children are ended, then KeyboardInterrupt is raised.
    """
    with interrupt_on_terminate():
        process = subprocess.Popen(
            flare_command(kit),
            cwd=kit.path,
            env=flare_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        follower = follow_output(process, kit, log)
        try:
            with bounded_audit_log(kit.path):
                return process.wait()
        finally:
            if process.poll() is None:
                stop_process_tree(process.pid)
                process.wait()
            end_orphans(kit)
            follower.join(FOLLOW_TIMEOUT_S)


def flare_environment() -> dict[str, str]:
    """The environment variables for a FLARE process: those of this process, and settings for FLARE.

    glibc uses few arenas, as FLARE advises, to save memory, and huge pages, because a member is copied
    several times on its way. Chunks are larger than FLARE's default, because the server relays each of
    them in Python. These variables can be overridden. FLARE's secure logging is always on: errors reach
    the server as their type only, because a traceback could name a case. The packages whose code this
    process may run are allowed there, too.
    """
    malloc = {"MALLOC_ARENA_MAX": "4", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    chunks = {name: str(size) for name, size in CHUNK_SIZES.items()}
    plugins = {VARIABLE: ",".join(allowed_plugins())}
    return {**malloc, **chunks, **os.environ, **plugins, "NVFLARE_SECURE_LOGGING": "true"}


def stop_process_tree(pid: int) -> None:
    """End a process and all its descendants, also those in sessions of their own, as FLARE's jobs.

    SIGTERM comes first; whatever still runs after 5 s gets SIGKILL.
    """
    try:
        process = psutil.Process(pid)
        processes = [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return
    for each in processes:
        _send(each, signal.SIGTERM)
    _, alive = psutil.wait_procs(processes, TERMINATE_TIMEOUT_S)
    for each in alive:
        _send(each, signal.SIGKILL)
    psutil.wait_procs(alive, TERMINATE_TIMEOUT_S)


def _send(process: psutil.Process, signum: int) -> None:
    try:
        process.send_signal(signum)
    except psutil.NoSuchProcess:
        return
