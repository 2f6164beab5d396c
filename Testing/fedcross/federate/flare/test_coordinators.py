"""Two coordinators of one federation, over TLS on this machine."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fedcross.federate.kits.add_coordinator import add_coordinator
from fedcross.model.bundle import verify_bundle
from federation_processes import federation_processes
from tiny_federation import write_federation

pytestmark = pytest.mark.federation


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fedcross", "federation", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_one_coordinator_submits_and_the_other_fetches_with_the_run_folder(tmp_path: Path) -> None:
    config = write_federation(tmp_path / "data", sites=1, rounds=1, local_epochs=1)
    with federation_processes(tmp_path, {"s0": tmp_path / "data"}) as processes:
        second = add_coordinator(processes.folder, "anna")
        processes.start("server", "s0")
        done = run("submit", config, "--out", tmp_path / "run", "--kit", second)
        assert done.returncode == 0, done.stderr + done.stdout
        copied = tmp_path / "copy"
        copied.mkdir()
        shutil.copy(tmp_path / "run" / "federation.json", copied)
        first = processes.kit("admin").path
        fetched = run("fetch", copied, tmp_path / "bundle", "--kit", first)
        assert fetched.returncode == 0, fetched.stderr
        verify_bundle(tmp_path / "bundle")
