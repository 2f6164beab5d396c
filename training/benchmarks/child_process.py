"""What a child process takes, whatever the benchmark that starts it has taken itself."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

# A process begins as a copy of its parent, and Linux counts that copy's peak as the child's. So the
# parent is a small one in between.
_PARENT = """
import json, os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)
output = process.stdout.read()
_, status, usage = os.wait4(process.pid, 0)
seconds = time.perf_counter() - start
code = os.waitstatus_to_exitcode(status)
processor_s = usage.ru_utime + usage.ru_stime
print(json.dumps([code, seconds, processor_s, usage.ru_maxrss / 1024, output]))
"""


class Usage(NamedTuple):
    """Wall time and processor time in s, peak resident memory in MB (2^20 bytes), and stdout.

    The peak is that of the process or of one of its children, whichever is larger.
    """

    seconds: float
    processor_s: float
    peak_mb: float
    output: str


def run_measured(command: Sequence[str], env: Mapping[str, str] | None = None) -> Usage:
    """Run a command to its end, on Linux; RuntimeError with its last words if it fails."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _PARENT, *command],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[:3]} could not be run: {done.stderr[-500:]}")
    code, *usage = json.loads(done.stdout)
    if code != 0:
        raise RuntimeError(f"{command[:3]} ended with {code}: {done.stderr[-500:]}")
    return Usage(*usage)
