"""How long a process takes from its start to its first patch, on a warm disk.

    python training/benchmarks/startup.py BUNDLE IMAGE [--backend openvino] [--repeat 5]

Stage by stage, wall time since the start and processor time, the smallest of all repetitions. The first
run is not counted: it converts the members and warms the disk. When the first patch begins is its end
less the time that the second one takes, so the volume must have two; there the process is ended.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

PATCHES = ("first patch", "second patch")
TICKS = os.sysconf("SC_CLK_TCK")


def once(bundle: Path, image: Path, backend: str) -> dict[str, tuple[float, float]]:
    """Return (wall, processor) seconds from the start to every stage and to the first patch's end."""
    reached = {}
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "fedcross.infer", "--events", "--device", "cpu"]
        command += ["--backend", backend, "--bundle", str(bundle), "--image", str(image)]
        start = time.perf_counter()
        process = subprocess.Popen([*command, "--out", f"{folder}/out"], stdout=subprocess.PIPE)
        for line in process.stdout:
            event = json.loads(line)
            name = event["stage"] if event["event"] == "stage" else event["event"]
            if name == "progress":
                name = PATCHES[event["done"] - 1]
            used = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
            reached[name] = (time.perf_counter() - start, sum(map(int, used)) / TICKS)
            if name == PATCHES[-1]:
                break
        process.kill()
        process.wait()
    first, second = (reached.pop(name) for name in PATCHES)
    reached["first patch begins"] = tuple(2 * a - b for a, b in zip(first, second, strict=True))
    reached["first patch ends"] = first
    return reached


def main() -> int:
    """Print the table; Linux only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--backend", default="openvino")
    parser.add_argument("--repeat", type=int, default=5)
    given = parser.parse_args()
    runs = [once(given.bundle, given.image, given.backend) for _ in range(given.repeat + 1)][1:]
    print("| reached | wall s | processor s |\n|---|---|---|")
    for name in runs[0]:
        wall, processor = (min(run[name][kind] for run in runs) for kind in (0, 1))
        print(f"| {name} | {wall:.2f} | {processor:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
