"""Measure the time until the first patch, in a new process and in a warm worker.

    python training/benchmarks/startup.py BUNDLE IMAGE [--backend openvino] [--repeat 5]

The tables show for each stage the wall time since the start of the process, or since the request to the
worker, and the processor time; each is the smallest of all repetitions. The first run is not counted,
because it fills the cache of compiled members and the file cache. The start of the first patch is not
reported by the process; it is the end of the first patch minus the time of the second patch, so the
volume must have at least two patches. A new process is killed after its second patch; a worker finishes
its request.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

PATCHES = ("first patch", "second patch")
TICKS = os.sysconf("SC_CLK_TCK")
Reached = dict[str, tuple[float, float]]


@contextmanager
def child(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start ``python -m fedcross.infer`` with some arguments, and kill it at the end."""
    command = [sys.executable, "-m", "fedcross.infer", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1) as process:
        try:
            yield process
        finally:
            process.kill()


def read_stages(process: subprocess.Popen[str], start: float, last: str) -> Reached:
    """Return the (wall, processor) time in s from `start` to every stage, up to the event `last`."""
    before = processor_time(process)
    reached = {}
    for line in process.stdout:
        event = json.loads(line)
        name = event["stage"] if event["event"] == "stage" else event["event"]
        if name == "progress":
            if event["done"] > len(PATCHES):
                continue
            name = PATCHES[event["done"] - 1]
        reached[name] = (time.perf_counter() - start, processor_time(process) - before)
        if name == last:
            break
    first, second = (reached.pop(name) for name in PATCHES)
    reached["first patch begins"] = tuple(2 * a - b for a, b in zip(first, second, strict=True))
    reached["first patch ends"] = first
    return reached


def processor_time(process: subprocess.Popen[str]) -> float:
    """Return the processor time in s that a process has used."""
    stat = Path(f"/proc/{process.pid}/stat").read_text()
    return sum(map(int, stat.rpartition(")")[2].split()[11:13])) / TICKS


def table(title: str, runs: list[Reached]) -> str:
    """Return a Markdown table with the smallest times over all runs."""
    lines = [f"| {title} | wall s | processor s |", "|---|---|---|"]
    for name in runs[0]:
        wall, processor = (min(run[name][kind] for run in runs) for kind in (0, 1))
        lines.append(f"| {name} | {wall:.2f} | {processor:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the benchmark and print the tables (Linux only)."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--backend", default="openvino")
    parser.add_argument("--repeat", type=int, default=5)
    given = parser.parse_args()
    request = ["--device", "cpu", "--backend", given.backend, "--bundle", str(given.bundle)]
    request += ["--image", str(given.image), "--out"]
    cold, warm = [], []
    with TemporaryDirectory() as folder:
        for _ in range(given.repeat + 1):
            start = time.perf_counter()
            with child("--events", *request, f"{folder}/cold") as process:
                cold.append(read_stages(process, start, PATCHES[-1]))
        with child("--worker") as process:
            for run in range(given.repeat + 1):
                start = time.perf_counter()
                process.stdin.write(json.dumps([*request, f"{folder}/{run}"]) + "\n")
                warm.append(read_stages(process, start, "result"))
    print(table("a process reaches", cold[1:]))
    print(table("a warm worker reaches", warm[1:]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
