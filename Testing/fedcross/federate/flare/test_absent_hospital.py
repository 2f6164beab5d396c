"""A hospital whose process never runs: the run ends without it and says so, over TLS on this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fedcross.training.run.export import export_run
from federation_processes import federation_processes
from tiny_federation import write_federation

pytestmark = pytest.mark.federation
SUBMIT = (sys.executable, "-m", "fedcross", "federation", "submit")


def test_a_run_in_which_a_hospital_never_trained_ends_with_exit_code_3(tmp_path: Path) -> None:
    config = write_federation(
        tmp_path / "data", sites=2, rounds=2, local_epochs=1, extra="[engine]\nmin_sites = 1"
    )
    run = tmp_path / "run"
    with federation_processes(tmp_path, dict.fromkeys(("s0", "s1"), tmp_path / "data")) as kits:
        kits.start("server", "s0")
        done = subprocess.run(
            [*SUBMIT, config, "--out", run, "--kit", kits.kit("admin").path],
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    assert done.returncode == 3, done.stderr + done.stdout
    assert "s1 took no part: no member was trained there." in done.stderr
    export_run(run, tmp_path / "bundle")
    card = (tmp_path / "bundle" / "docs" / "README.md").read_text(encoding="utf-8")
    assert "trained across 1 site" in card
    assert "without s1" in card
