"""How long until a process's first patch, on a warm disk; and a warm worker's, which is there already.

    python training/benchmarks/startup.py BUNDLE IMAGE [--backend openvino] [--repeat 5]

Stage by stage, wall time since the start (of a worker: since it was asked) and processor time, the
smallest of all repetitions. The first run is not counted: it converts the members and warms the disk.
When the first patch begins is its end less the time that the second one takes, so the volume must have
two. There a process is ended; a worker answers to the end.
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
def child(*words: str) -> Iterator[subprocess.Popen[str]]:
    """A process of inference, killed at the end."""
    command = [sys.executable, "-m", "fedcross.infer", *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1) as process:
        try:
            yield process
        finally:
            process.kill()


def listen(process: subprocess.Popen[str], start: float, last: str) -> Reached:
    """Return (wall, processor) seconds since `start` to every stage, up to the event `last`."""
    before = used(process)
    reached = {}
    for line in process.stdout:
        event = json.loads(line)
        name = event["stage"] if event["event"] == "stage" else event["event"]
        if name == "progress":
            if event["done"] > len(PATCHES):
                continue
            name = PATCHES[event["done"] - 1]
        reached[name] = (time.perf_counter() - start, used(process) - before)
        if name == last:
            break
    first, second = (reached.pop(name) for name in PATCHES)
    reached["first patch begins"] = tuple(2 * a - b for a, b in zip(first, second, strict=True))
    reached["first patch ends"] = first
    return reached


def used(process: subprocess.Popen[str]) -> float:
    """Processor time so far, in s."""
    stat = Path(f"/proc/{process.pid}/stat").read_text()
    return sum(map(int, stat.rpartition(")")[2].split()[11:13])) / TICKS


def table(title: str, runs: list[Reached]) -> str:
    """The smallest of all runs, as Markdown."""
    lines = [f"| {title} | wall s | processor s |", "|---|---|---|"]
    for name in runs[0]:
        wall, processor = (min(run[name][kind] for run in runs) for kind in (0, 1))
        lines.append(f"| {name} | {wall:.2f} | {processor:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Print the tables; Linux only."""
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
                cold.append(listen(process, start, PATCHES[-1]))
        with child("--worker") as process:
            for run in range(given.repeat + 1):
                start = time.perf_counter()
                process.stdin.write(json.dumps([*request, f"{folder}/{run}"]) + "\n")
                warm.append(listen(process, start, "result"))
    print(table("a process reaches", cold[1:]))
    print(table("a warm worker reaches", warm[1:]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
