"""A federation of real processes on this machine: startup kits, mutual TLS, a server and its sites."""

import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from fedcross.federate.flare.start import command, end_orphans, environment, prepare, stop
from fedcross.federate.kits.provision import Federation, init_federation
from fedcross.federate.kits.startup_kit import Kit, open_kit

KITS = "kits"


def free_port() -> int:
    """A TCP port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Processes:
    """The processes of a federation; use it as a context manager: leaving ends all of them.

    Parameters
    ----------
    folder
        Where the kits are made.
    data
        Site -> its data folder.
    """

    def __init__(self, folder: Path, data: Mapping[str, Path]) -> None:
        self.folder = folder / KITS
        self.sites = tuple(data)
        init_federation(self.folder, Federation("trial", self.sites, "localhost", free_port()))
        for name, path in data.items():
            self.set_up(name, f'data = "{path}"\ndevice = "cpu"\n')
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for name in list(self._running):
            self.end(name)
        for name in ("server", *self.sites):
            end_orphans(self.kit(name))

    def set_up(self, site: str, text: str) -> None:
        """Write a site's own settings."""
        (self.kit(site).path / "local" / "site.toml").write_text(text, encoding="utf-8")

    def kit(self, name: str) -> Kit:
        """The kit of ``server``, ``admin`` or a site."""
        return open_kit(self.folder / ("sites" if name in self.sites else "") / name)

    def start(self, *names: str, **variables: str) -> dict[str, int]:
        """Start ``server`` or sites, with more in their environment; return their processes' ids."""
        for name in names:
            kit = self.kit(name)
            prepare(kit)
            with (kit.path / "console.txt").open("ab") as console:
                self._running[name] = subprocess.Popen(
                    command(kit),
                    cwd=kit.path,
                    env={**environment(), "OMP_NUM_THREADS": "1", **variables},
                    stdout=console,
                    stderr=subprocess.STDOUT,
                )
        return {name: self._running[name].pid for name in names}

    def kill(self, name: str) -> None:
        """Kill a process, and only it, as ``kill -9`` does: no time for a farewell."""
        process = self._running.pop(name)
        process.kill()
        process.wait(10)

    def end(self, name: str) -> None:
        """End a process and everything it started."""
        process = self._running.pop(name)
        stop(process.pid)
        process.wait(20)

    def words(self, name: str) -> str:
        """The last lines that a process wrote, for a failed test's report."""
        path = self.kit(name).path / "console.txt"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""


def wait_until(true: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait, and fail with `what` when it takes too long."""
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, f"after {seconds:g} s still not: {what}"
        time.sleep(0.2)
