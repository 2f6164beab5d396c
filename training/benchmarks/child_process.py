"""Measure time and memory of a child process, independently of the process that starts it."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

# Linux starts a process as a copy of its parent and includes the memory of that copy in the peak of the
# child. So a small intermediate process starts the command.
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
    """Run a command and return its usage (Linux only).

    Raises
    ------
    RuntimeError
        If the command fails; the message contains the end of its stderr.
    """
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
