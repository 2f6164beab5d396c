"""A hospital that made its private key itself takes part, over TLS on this machine."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedcross.federate.kits.accept_kit import accept_kit
from fedcross.federate.kits.certificate_request import KEY, make_request, read_request
from fedcross.federate.kits.connection import check_connection
from fedcross.federate.kits.renew import renew_kit
from federation_processes import Processes, federation_processes, wait_until
from tiny_federation import write_federation

pytestmark = pytest.mark.federation


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with federation_processes(tmp_path, {"s0": tmp_path / "data"}) as made:
        yield made


def test_a_hospital_trains_with_the_key_that_it_made(processes: Processes, tmp_path: Path) -> None:
    config = write_federation(tmp_path / "data", sites=1, rounds=1, local_epochs=1)
    make_request(tmp_path / "request", "s0")
    renew_kit(processes.folder, "s0", read_request(tmp_path / "request" / "s0.csr").public_key)
    kit = accept_kit(processes.kit("s0").path, tmp_path / "request" / KEY)
    processes.start("server", "s0")
    wait_until(
        lambda: "New client s0@" in processes.last_output("server"),
        90,
        processes.last_output("server") + processes.last_output("s0"),
    )
    assert "both certificates are accepted" in check_connection(kit)
    words = ("federation", "submit", config, "--out", tmp_path / "run")
    done = subprocess.run(
        [sys.executable, "-m", "fedcross", *words, "--kit", processes.kit("admin").path],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr + done.stdout
