"""A federation of real processes on this machine: startup kits, mutual TLS, a server and its sites."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fedcross.federate.flare.processes import (
    end_orphans,
    flare_command,
    flare_environment,
    prepare_kit,
    stop_process_tree,
)
from fedcross.federate.kits.provision import Federation, init_federation
from fedcross.federate.kits.startup_kit import Kit, open_kit

KITS = "kits"


def free_port() -> int:
    """A TCP port at which no process listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def federation_processes(
    folder: Path, data: Mapping[str, Path], ports: tuple[int, int] | None = None
) -> Iterator["Processes"]:
    """Make the kits of a federation, yield its `Processes`, and end all of them at the end."""
    processes = Processes(folder, data, ports)
    try:
        yield processes
    finally:
        processes.end_all()


class Processes:
    """The processes of a federation.

    Parameters
    ----------
    folder
        Folder in which the kits are made.
    data
        Data folder of each site, by the site's name.
    ports
        TCP ports in the kits, and at which the server listens; a free one if None.
    """

    def __init__(
        self, folder: Path, data: Mapping[str, Path], ports: tuple[int, int] | None = None
    ) -> None:
        self.folder = folder / KITS
        self.sites = tuple(data)
        port, listen_port = ports or (free_port(), None)
        init_federation(
            self.folder, Federation("trial", self.sites, "localhost", port, listen_port)
        )
        for name, path in data.items():
            settings = self.kit(name).path / "local" / "site.toml"
            settings.write_text(f'data = "{path}"\ndevice = "cpu"\n', encoding="utf-8")
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def kit(self, name: str) -> Kit:
        """The kit of ``server``, ``admin`` or a site."""
        return open_kit(self.folder / ("sites" if name in self.sites else "") / name)

    def start(self, *names: str, **variables: str) -> dict[str, int]:
        """Start ``server`` or sites with additional environment variables; return their process ids."""
        for name in names:
            kit = self.kit(name)
            prepare_kit(kit)
            with (kit.path / "console.txt").open("ab") as console:
                self._running[name] = subprocess.Popen(
                    flare_command(kit),
                    cwd=kit.path,
                    env={**flare_environment(), "OMP_NUM_THREADS": "1", **variables},
                    stdout=console,
                    stderr=subprocess.STDOUT,
                )
        return {name: self._running[name].pid for name in names}

    def kill(self, name: str) -> None:
        """Kill a process as ``kill -9`` does; its children are not killed."""
        process = self._running.pop(name)
        process.kill()
        process.wait(10)

    def end(self, name: str) -> None:
        """End a process and its descendants."""
        process = self._running.pop(name)
        stop_process_tree(process.pid)
        process.wait(20)

    def end_all(self) -> None:
        """End all processes, also jobs whose parent was killed."""
        for name in list(self._running):
            self.end(name)
        for name in ("server", *self.sites):
            end_orphans(self.kit(name))

    def last_output(self, name: str) -> str:
        """The last 4000 characters that a process printed."""
        path = self.kit(name).path / "console.txt"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""


def wait_until(condition: Callable[[], bool], seconds: float, description: str) -> None:
    """Wait until `condition` is true; fail with `description` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not after {seconds:g} s: {description}"
        time.sleep(0.2)
