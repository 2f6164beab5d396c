"""A kit's FLARE process, kept running: what dies is started again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import psutil

from fedcross.errors import ConfigError, FedCrossError
from fedcross.federate.kits.contents import place_storage
from fedcross.federate.kits.site_settings import load_site_settings
from fedcross.federate.kits.startup_kit import Kit
from fedcross.runtime.signals import interrupt_on_terminate

JOBS = (
    "nvflare.private.fed.app.server.runner_process",
    "nvflare.private.fed.app.client.worker_process",
)
PAUSE_S = 3.0  # before it is started again
PATIENCE = 5  # deaths in a row, each sooner than
SOON_S = 60.0
GRACE_S = 5.0
PIECES = {
    "NVFLARE_TENSOR_DOWNLOAD_CHUNK_SIZE": 16 * 2**20,
    "NVFLARE_STREAMING_CHUNK_SIZE": 4 * 2**20,
}
"""Bytes of the pieces in which a member is asked for, and of those in which they travel."""


def command(kit: Kit) -> list[str]:
    """The command line of a kit's FLARE process."""
    app, settings, who = (
        ("server.server_train", "fed_server.json", [])
        if kit.kind == "server"
        else ("client.client_train", "fed_client.json", [f"uid={kit.name}"])
    )
    module = f"nvflare.private.fed.app.{app}"
    options = ["secure_train=true", *who, "org=fedcross", "config_folder=config"]
    return [sys.executable, "-m", module, "-m", str(kit.path), "-s", settings, "--set", *options]


def keep_running(kit: Kit, tell: Callable[[str], None]) -> None:
    """Run a server's or a site's kit until SIGTERM or Ctrl-C.

    Parameters
    ----------
    kit
        Whose process to run.
    tell
        Hears of every start.

    Raises
    ------
    ConfigError
        If the site's own settings are wrong.
    FedCrossError
        If the process keeps dying at once.
    """
    prepare(kit)
    deaths = 0
    while deaths < PATIENCE:
        began = time.monotonic()
        tell(f"Starting {kit.name} of {kit.federation}, server {kit.host}:{kit.port}.")
        code = _run(kit)
        deaths = deaths + 1 if time.monotonic() - began < SOON_S else 1
        tell(f"The process ended with code {code}.")
        time.sleep(PAUSE_S)
    raise FedCrossError(
        f"The process of {kit.name} ended {PATIENCE} times within {SOON_S:g} s of its start.",
        f"Its last words are in {kit.path.name}/log.txt.",
    )


def prepare(kit: Kit) -> None:
    """Bring a kit in order for its machine, and end what an earlier process of it left running."""
    end_orphans(kit)
    if kit.kind == "server":
        place_storage(kit.path)
    elif not (settings := load_site_settings(kit.path)).data.is_dir():
        raise ConfigError(f"local/site.toml: the folder data is not there, got {settings.data}.")


def end_orphans(kit: Kit) -> None:
    """End the processes of jobs whose parent died: they hold the GPU, or the run's folder."""
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if str(kit.path) in words and any(name in words for name in JOBS):
            parent = process.parent()
            if parent is None or str(kit.path) not in parent.cmdline():
                stop(process.pid)


def _run(kit: Kit) -> int:
    """Run the process to its end; when this one is asked to end, it and its children go first."""
    with interrupt_on_terminate():
        process = subprocess.Popen(command(kit), cwd=kit.path, env=environment())
        try:
            return process.wait()
        finally:
            if process.poll() is None:
                stop(process.pid)
                process.wait()
            end_orphans(kit)


def environment() -> dict[str, str]:
    """What the process inherits, and what is set for FLARE.

    glibc's arenas are limited, as FLARE advises, to hold less memory, and their pages are huge, for
    a member is copied more than once on its way; it goes in larger pieces than FLARE would cut, for
    each of them passes through the server's relay in Python. Errors go to the server by their type
    only, without a traceback in which a case could be named.
    """
    malloc = {"MALLOC_ARENA_MAX": "4", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    pieces = {name: str(size) for name, size in PIECES.items()}
    return {**malloc, **pieces, **os.environ, "NVFLARE_SECURE_LOGGING": "true"}


def stop(pid: int) -> None:
    """End a process and all of its descendants: FLARE starts each job in a session of its own."""
    try:
        process = psutil.Process(pid)
        family = [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return
    for each in family:
        _send(each, signal.SIGTERM)
    _, alive = psutil.wait_procs(family, GRACE_S)
    for each in alive:
        _send(each, signal.SIGKILL)
    psutil.wait_procs(alive, GRACE_S)


def _send(process: psutil.Process, signum: int) -> None:
    try:
        process.send_signal(signum)
    except psutil.NoSuchProcess:
        return
