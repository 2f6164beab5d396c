"""A sample of the injected faults; `faults.py` tries them all."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = Path(__file__).with_name("faults.py")

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="needs Linux and a C compiler"
)


@pytest.mark.parametrize(("case", "every"), [("export", 11), ("pack", 7), ("segment", 29)])
def test_a_failing_write_leaves_what_was_there_or_the_new_one(case: str, every: int) -> None:
    done = subprocess.run(
        [sys.executable, str(FAULTS), case, "--every", str(every)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(FAULTS.parents[1])},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{case}: nothing wrong" in done.stdout
