"""What people see: the server and a hospital as `fedcross federation start` runs them."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedcross.federate.kits.approvals import APPROVALS
from fedcross.federate.kits.provision import Federation, init_federation
from fedcross.federate.kits.visit_log import VISITS, read_entries
from fedcross.training.config.configuration import config_sha256
from fedcross.training.config.file import load_config
from federation_processes import Processes, wait_until
from tiny_federation import write_federation

pytestmark = pytest.mark.federation

WAIT_S = 240.0


class Services:
    """Processes of the command line, with files for what they print."""

    def __init__(self, kits: Processes, folder: Path) -> None:
        self.kits, self._folder = kits, folder
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, name: str) -> None:
        with (self._folder / f"{name}.txt").open("wb") as output:
            words = command("federation", "start", self.kits.kit(name).path)
            process = subprocess.Popen(words, stdout=output, stderr=output, env=environment())
        self._running.append(process)

    def lines(self, name: str) -> list[str]:
        return (self._folder / f"{name}.txt").read_text(encoding="utf-8").splitlines()

    def wait_for(self, name: str, line: str) -> None:
        wait_until(lambda: line in self.lines(name), WAIT_S, f"{line}; {self.lines(name)}")

    def end(self) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            process.wait(60)


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "fedcross", *map(str, words)]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words), capture_output=True, text=True, timeout=WAIT_S, env=environment()
    )


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    made = Services(Processes(tmp_path, {"s0": tmp_path / "data"}), tmp_path)
    try:
        yield made
    finally:
        made.end()


def test_terminals_show_sentences_only_and_the_hospital_sees_its_visits(
    services: Services, tmp_path: Path
) -> None:
    config = write_federation(tmp_path / "data", sites=1, rounds=1, local_epochs=1)
    services.start("server")
    services.wait_for("server", "The server is ready.")
    services.start("s0")
    services.wait_for("server", "s0 is connected.")
    kits = services.kits

    server = kits.kit("server")
    init_federation(tmp_path / "other", Federation("trial", ("s0",), server.host, server.port))
    foreign = run(
        *("federation", "submit", config, "--out", tmp_path / "foreign"),
        *("--kit", tmp_path / "other" / "admin"),
    )
    assert foreign.returncode == 2
    assert foreign.stdout == ""
    (sentence,) = foreign.stderr.splitlines()
    assert "is not that of the federation's server" in sentence
    assert not (tmp_path / "foreign").exists()
    again = run("federation", "start", server.path)
    assert again.returncode == 2
    assert "is in use by process" in again.stderr

    out = tmp_path / "run"
    done = run("federation", "submit", config, "--out", out, "--kit", kits.kit("admin").path)
    assert done.returncode == 0, done.stderr + done.stdout
    services.wait_for("server", "The job has ended.")
    services.wait_for("s0", "The job has ended.")
    assert services.lines("server") == [
        f"Starting {server.host} of trial, server {server.host}:{server.port}.",
        "The server is ready.",
        "s0 is connected.",
        "A job begins with s0.",
        "The job has ended.",
    ]
    lines = [line for line in services.lines("s0") if not line.startswith("Task ")]
    assert lines[1:] == ["Connected to the server.", "A job begins.", "The job has ended."]

    kit = kits.kit("s0")
    tasks = [(entry.task, entry.outcome) for entry in read_entries(kit.path)]
    assert tasks[:2] == [("open", "done"), ("train", "done")]
    assert str(tmp_path) not in (kit.path / VISITS).read_text(encoding="ascii")
    shown = run("site", "status", kit.path)
    assert shown.returncode == 0, shown.stderr
    assert "It runs on this machine." in shown.stdout
    assert "1 visits" in shown.stdout


def test_a_run_waits_for_the_approval_of_the_hospital_and_what_it_left_is_cleaned(
    services: Services, tmp_path: Path
) -> None:
    config = write_federation(tmp_path / "data", sites=1, rounds=1, local_epochs=1)
    sha256 = config_sha256(load_config(config))
    server, kit = services.kits.kit("server").path, services.kits.kit("s0").path
    with (kit / "local" / "site.toml").open("a", encoding="utf-8") as settings:
        settings.write("requires_approval = true\n")
    services.start("server")
    services.wait_for("server", "The server is ready.")
    services.start("s0")
    services.wait_for("server", "s0 is connected.")
    admin = services.kits.kit("admin").path
    submit = ("federation", "submit", config, "--out", tmp_path / "run", "--kit", admin)

    refused = run(*submit)
    assert refused.returncode == 2, refused.stdout
    assert "The approval of site s0 is pending" in refused.stderr
    assert sha256 in refused.stderr
    shown = run("site", "approvals", kit)
    assert sha256 in shown.stdout, shown.stderr
    assert 'Data used here: images "s0/images"' in shown.stdout
    assert str(tmp_path) not in (kit / APPROVALS).read_text(encoding="utf-8")
    assert run("site", "approve", kit, sha256[:12]).returncode == 0

    done = run(*submit)
    assert done.returncode == 0, done.stderr + done.stdout
    services.wait_for("server", "The job has ended.")
    old = time.time() - 40 * 86400
    for folder in (server, kit):
        for path in folder.rglob("*"):
            os.utime(path, (old, old))
        cleaned = run("federation", "clean", folder)
        assert cleaned.returncode == 0, cleaned.stderr
    assert list((server / "runs").iterdir()) == list((server / "storage" / "jobs").iterdir()) == []
    again = run(*submit)  # the coordinator has the result, so the server does not train again
    assert again.returncode == 0, again.stderr + again.stdout
    assert "The run is finished; its result is in the folder." in again.stdout
