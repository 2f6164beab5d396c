"""Measure training speed beside the loop of the method's first implementation.

    python training/benchmarks/training.py --out FOLDER                       # CPU, a few minutes
    python training/benchmarks/training.py --out FOLDER --size reference --device cuda:0

``peer`` is a loop written after the description of that implementation. It reads every sample from
its file, z-scores it and resamples it with ITK through a random rigid transform, in `DataLoader`
workers that end with the epoch. It computes in float32 with contiguous tensors and calls
``loss.item()`` after each step. ``ours`` is one visit of `fedcross.training.step.visit`: cases are
prepared once, patches are cut on the device, tensors are channels last, there is one wait for the
device per epoch, and a GPU that has bf16 uses it. Network, batch, patch, files and loss are the
same. ``ours`` has the paper's augmentation, like the peer; ``strong`` is the same visit with the
preset ``strong``, which is the default of the package. On a GPU there is also ``pair``: two visits like
``ours`` at the same time, each in its own stream.

All run in turns, each in a process of its own, so that other work of the machine affects all
equally. The rate is the median over the turns, without the first epoch of each (start of the
workers, tuning). The share of the arithmetic limit is relative to the rate of a matrix product
measured in the same run.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from arithmetic import matrix_rate
from child_process import run_measured
from torch.utils.flop_counter import FlopCounterMode
from training_loops import SIZES, Size, Tell, configuration, make_cases, ours, pair, peer

from fedcross.model.networks import build_network
from fedcross.runtime.device import describe_device, resolve_device


@contextmanager
def utilisation(device: torch.device) -> Iterator[list[int]]:
    """Record the utilisation of the GPU in percent ten times a second; none without NVIDIA's library."""
    seen: list[int] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.1):
            try:
                seen.append(torch.cuda.utilization(device))
            except (ModuleNotFoundError, RuntimeError):
                return

    watcher = threading.Thread(target=look, daemon=True)
    if device.type == "cuda":
        watcher.start()
    yield seen
    ended.set()


CONTENDERS: dict[str, Callable[[Size, Path, torch.device, int, Tell], None]] = {
    "peer": peer,
    "ours": ours,
    "strong": partial(ours, preset="strong"),
    "pair": pair,
}


def child(given: argparse.Namespace) -> None:
    """Run one of the contenders and print its figures."""
    size, device = SIZES[given.size], resolve_device(given.device)
    loop = CONTENDERS[given.child]
    ends = [(time.perf_counter(), 0)]
    with utilisation(device) as busy:
        loop(size, given.out / "data", device, given.epochs, partial(_note, ends))
    rates = [samples / (end - began) for (began, _), (end, samples) in pairwise(ends)]
    figures = {
        "samples_per_s": statistics.median(rates[1:]),
        "gpu_mb": torch.cuda.max_memory_allocated() / 1e6 if device.type == "cuda" else None,
        "gpu_busy": statistics.fmean(busy) if busy else None,
    }
    print(json.dumps(figures))


def _note(ends: list[tuple[float, int]], samples: int) -> None:
    ends.append((time.perf_counter(), samples))


def run(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """Run a contender in its own process; return its figures and peak memory with its workers."""
    command = [sys.executable, __file__, "--child", name, "--out", str(given.out)]
    command += ["--size", given.size, "--device", given.device, "--epochs", str(given.epochs)]
    usage = run_measured(command)
    return {**json.loads(usage.output.splitlines()[-1]), "rss_mb": usage.peak_mb}


def floor(size: Size, device: torch.device) -> tuple[float, float]:
    """Return the FLOP of a training sample and the FLOP/s of a matrix product."""
    config = configuration(size, Path(), 1)
    network = build_network(config.network).to(device)
    x, y, z = size.patch
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(2, 1, z, y, x, device=device)).sum().backward()
    return counter.get_total_flops() / 2, matrix_rate(device)


def table(rows: dict[str, dict[str, float | None]], flop: float, rate: float) -> str:
    """Return the report in Markdown: rates, and everything else as a ratio to the peer."""
    lines = [
        "| | samples/s | times the peer | of the matrix rate | memory of the peer's | GPU busy |",
        "|---|---|---|---|---|---|",
    ]
    base = rows["peer"]
    for name, row in rows.items():
        kind = "gpu_mb" if row["gpu_mb"] else "rss_mb"
        busy = "" if row["gpu_busy"] is None else f"{row['gpu_busy']:.0f} %"
        speed = row["samples_per_s"]
        lines.append(
            f"| {name} | {speed:.2f} | {speed / base['samples_per_s']:.2f} | "
            f"{speed * flop / rate:.0%} | {row[kind] / base[kind]:.2f} | {busy} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Run both in turns and write the report; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", choices=SIZES, default="demo")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--epochs", type=int, default=4, help="of every turn, the first not counted"
    )
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--child", choices=CONTENDERS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given)
        return 0
    size, device = SIZES[given.size], resolve_device(given.device)
    make_cases(size, given.out / "data")
    load = os.getloadavg()
    names = [name for name in CONTENDERS if name != "pair" or device.type == "cuda"]
    turns = [{name: run(name, given) for name in names} for _ in range(given.turns)]
    flop, rate = floor(size, device)
    rows = {
        name: {
            key: None
            if turns[0][name][key] is None
            else statistics.median(t[name][key] for t in turns)
            for key in turns[0][name]
        }
        for name in names
    }
    facts = {
        "date": str(date.today()),
        "size": given.size,
        "device": describe_device(device),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load before and after": [load[0], os.getloadavg()[0]],
        "TFLOP of a sample": flop / 1e12,
        "matrix rate, TFLOP/s": rate / 1e12,
        "versions": {name: version(name) for name in ("torch", "simpleitk", "numpy")},
        "python": platform.python_version(),
    }
    ratio = rows["ours"]["samples_per_s"] / rows["strong"]["samples_per_s"]
    told = table(rows, flop, rate)
    told += f"\n\nA step with the preset strong takes {ratio:.2f} times that with the paper's."
    print(told)
    given.out.mkdir(parents=True, exist_ok=True)
    results = json.dumps({"facts": facts, "rows": rows, "turns": turns}, indent=2)
    (given.out / f"{given.size}.json").write_text(results + "\n", encoding="utf-8")
    listed = "".join(f"- {key}: {value}\n" for key, value in facts.items())
    (given.out / f"{given.size}.md").write_text(
        f"# Training, size {given.size}\n\n{told}\n\n{listed}", encoding="utf-8"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
