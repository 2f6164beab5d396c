"""Measure the cost of a round without training, and how it grows with the number of sites.

    python training/benchmarks/federation.py overhead --sites 3 --out FOLDER
    python training/benchmarks/federation.py tables FOLDER

``overhead`` runs a server and its sites as processes on this machine, with startup kits and mutual TLS.
A visit trains no epoch, so a round costs only the work of the engine. A member has the size of weights
and momentum of the reference network. The time of a round is that between two checkpoints of the server,
as the median over all rounds except the first and the last (which is validated). The bytes are those
that the kernel counted on the TLS connections of the server's port (``ss``). The memory is the largest
resident size of the server's job process.

``tables`` writes the table of the measurements and a table for 4, 16 and 64 sites. There the bytes are
two members per visit, the server's memory is the measured size per member, and the time at a bandwidth
is that of the server's line, which carries every member twice.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import date
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "Testing"))

from fedcross.federate.flare.admin import open_server_connection
from fedcross.federate.flare.job import RUNS, build_job
from fedcross.federate.supervise.federated_run import FederatedRun
from fedcross.federate.supervise.timeouts import Timeouts
from fedcross.strategies.member import new_member
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.file import load_config
from fedcross.training.run.folder import RunFolder
from federation_processes import federation_processes
from tiny_federation import write_case

MEMBER_MB = 86.0
SITES = (4, 16, 64)
MBIT = (100, 1000, 10000)
TIMEOUTS = Timeouts(poll_s=2.0, start_s=600.0, connect_s=300.0, attempts=1)


def write_config(folder: Path, sites: int, rounds: int, member_mb: float) -> TrainingConfig:
    """Write a federation whose members have about this size and whose visits train no epoch."""
    channels = round(2 * (member_mb / small_member_mb()) ** 0.5)
    lines = ['name = "Overhead"', "[method]", f"rounds = {rounds}", "local_epochs = 0", "[network]"]
    lines += ['name = "unet"', f"base_channels = {channels}", 'norm = "group"', "[preprocessing]"]
    lines += ["spacing_mm = [2, 2, 2.5]", "patch_size = [32, 16, 16]", "[[structures]]"]
    lines += ['name = "Blob"', "label = 1", "[engine]", "silence_timeout_s = 120"]
    lines += ["[training]", f"validate_every = {rounds}"]
    for index in range(sites):
        write_case(folder / f"s{index}", "case", np.random.default_rng(index))
        lines += ["[[sites]]", f'name = "s{index}"', f'images = "s{index}/images"']
        lines += [f'labels = "s{index}/labels"', "split = [1, 0, 0]"]
    path = folder / "config.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return load_config(path)


def small_member_mb() -> float:
    """Return the size of the member with the fewest channels; the size grows with their square."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        text = '[network]\nname = "unet"\nbase_channels = 2\nnorm = "group"\n'
        text = f'name = "x"\n{text}[preprocessing]\nspacing_mm = [1, 1, 1]\npatch_size = [32, 16, 16]\n'
        text += '[[structures]]\nname = "Blob"\nlabel = 1\n[[sites]]\nname = "s"\nimages = "i"\n'
        (path / "c.toml").write_text(text + 'labels = "l"\nsplit = [1, 0, 0]\n', encoding="utf-8")
        return member_mb(load_config(path / "c.toml"))


def member_mb(config: TrainingConfig) -> float:
    """Return the megabytes of a member of this configuration before its first visit."""
    member = new_member(0, config.network, 0)
    return sum(tensor.nbytes for tensor in member.state().values()) / 1e6


class ConnectionRecorder(threading.Thread):
    """Records the bytes of the server's connections and the memory of its processes."""

    def __init__(self, port: int, pid: int) -> None:
        super().__init__(daemon=True)
        self._port, self._pid = port, pid
        self._bytes: dict[str, int] = {}
        self._end = threading.Event()
        self.memory_mb = 0.0

    @property
    def wire_bytes(self) -> int:
        """Bytes in both directions, over all connections."""
        return sum(self._bytes.values())

    def run(self) -> None:
        """Record twice a second until `stop`."""
        while not self._end.wait(0.5):
            self._look()

    def stop(self) -> None:
        """Stop the recording."""
        self._end.set()
        self.join()

    def _look(self) -> None:
        listed = subprocess.run(
            ["ss", "-tinH", f"sport = :{self._port}"], capture_output=True, text=True, check=True
        ).stdout
        for connection, counts in pairwise(listed.splitlines()):
            found = re.findall(r"bytes_(?:acked|received):(\d+)", counts)
            if found and counts[:1].isspace():
                self._bytes[connection.split()[-1]] = sum(int(count) for count in found)
        for child in psutil.Process(self._pid).children(recursive=True):
            try:
                self.memory_mb = max(self.memory_mb, child.memory_info().rss / 1e6)
            except psutil.NoSuchProcess:
                continue


def overhead(sites: int, rounds: int, member: float) -> dict[str, Any]:
    """Run a federation and measure it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        config = write_config(folder / "data", sites, rounds, member)
        names = [site.name for site in config.sites]
        with federation_processes(folder, dict.fromkeys(names, folder / "data")) as processes:
            server = processes.start("server", *names)["server"]
            recorder = ConnectionRecorder(processes.kit("server").port, server)
            run = FederatedRun(folder / "run")
            record = run.begin(config)
            job = build_job(config, folder, run_id=record.run)
            home = RunFolder(processes.kit("server").path / RUNS / record.run)
            ends = _RoundRecorder(home, rounds, recorder)
            recorder.start()
            ends.start()
            with open_server_connection(processes.kit("admin")) as connection:
                run.supervise(connection, job, config, print, TIMEOUTS)
            ends.join()
            recorder.stop()
    # The start of the first round is not recorded, and the last round is validated.
    seconds = [after - before for before, after in pairwise(ends.times[:-1])]
    wire = [after - before for before, after in pairwise(ends.wire[:-1])]
    return {
        "sites": sites,
        "member_mb": round(member_mb(config), 1),
        "rounds": rounds,
        "seconds_per_round": [round(value, 2) for value in seconds],
        "overhead_s": round(statistics.median(seconds), 2),
        "wire_mb_per_round": round(statistics.median(wire) / 1e6, 1),
        "server_memory_mb": round(recorder.memory_mb),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "nvflare": version("nvflare"),
        "date": date.today().isoformat(),
    }


class _RoundRecorder(threading.Thread):
    """Records when each round's checkpoint appears, and the bytes until then."""

    def __init__(self, run: RunFolder, rounds: int, recorder: ConnectionRecorder) -> None:
        super().__init__(daemon=True)
        self._run, self._rounds, self._recorder = run, rounds, recorder
        self.times: list[float] = []
        self.wire: list[int] = []

    def run(self) -> None:
        """Record until the last round."""
        while len(self.times) < self._rounds:
            if max(self._run.checkpoints.rounds(), default=0) > len(self.times):
                self.times.append(time.monotonic())
                self.wire.append(self._recorder.wire_bytes)
            time.sleep(0.02)


def tables(folder: Path) -> str:
    """Return the table of the measurements and the table for more sites, in Markdown."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
    found.sort(key=lambda each: (each["member_mb"], each["sites"]))
    lines = ["| sites | MB a member | overhead a round, s | MB on the wire a round | server, MB |"]
    lines += ["|---|---|---|---|---|"]
    lines += [
        f"| {each['sites']} | {each['member_mb']} | {each['overhead_s']} "
        f"| {each['wire_mb_per_round']} | {each['server_memory_mb']} |"
        for each in found
    ]
    large = [each for each in found if each["member_mb"] > MEMBER_MB / 2]
    few, many = large[0], large[-1]
    span = max(many["sites"] - few["sites"], 1)
    slope = (many["server_memory_mb"] - few["server_memory_mb"]) / span
    base = many["server_memory_mb"] - slope * many["sites"]
    lines += [
        "",
        "| sites | MB on the wire a round | server, MB |"
        + "".join(f" s at {_rate(rate)} |" for rate in MBIT),
    ]
    lines += ["|---|---|---|" + "---|" * len(MBIT)]
    for sites in SITES:
        wire = 2 * sites * MEMBER_MB
        times = "".join(f" {wire * 8 / rate:.1f} |" for rate in MBIT)
        lines.append(f"| {sites} | {wire:.0f} | {base + slope * sites:.0f} |{times}")
    return "\n".join(lines) + "\n"


def _rate(mbit: int) -> str:
    return f"{mbit // 1000} Gbit/s" if mbit >= 1000 else f"{mbit} Mbit/s"


def main() -> None:
    """Measure, or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    measured = commands.add_parser("overhead")
    measured.add_argument("--sites", type=int, default=3)
    measured.add_argument("--rounds", type=int, default=6)
    measured.add_argument("--member-mb", type=float, default=MEMBER_MB)
    measured.add_argument("--out", type=Path, required=True)
    shown = commands.add_parser("tables")
    shown.add_argument("folder", type=Path)
    chosen = parser.parse_args()
    if chosen.command == "tables":
        print(tables(chosen.folder))
        return
    figures = overhead(chosen.sites, chosen.rounds, chosen.member_mb)
    chosen.out.mkdir(parents=True, exist_ok=True)
    name = f"sites-{figures['sites']}-mb-{figures['member_mb']:g}.json"
    (chosen.out / name).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
