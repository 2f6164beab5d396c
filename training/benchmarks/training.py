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
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from arithmetic import matrix_rate
from child_process import run_measured
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from fedcross.model.networks import build_network, initialise
from fedcross.runtime.device import describe_device, resolve_device
from fedcross.runtime.seeding import torch_generator
from fedcross.strategies.member import new_member
from fedcross.training.config.configuration import TrainingConfig, parse_config
from fedcross.training.data.sites import find_all_cases, load_sites
from fedcross.training.step.losses import dice_ce_loss
from fedcross.training.step.visit import visit

WORKERS = min(4, os.cpu_count() or 4)  # the first implementation has 4
ROTATION_RAD = 0.1
Tell = Callable[[int], None]


@dataclass(frozen=True)
class Size:
    """Size of the training; triples are (x, y, z)."""

    voxels: tuple[int, int, int]
    voxel_mm: tuple[float, float, float]
    spacing_mm: tuple[float, float, float]
    patch: tuple[int, int, int]
    base_channels: int
    norm: str
    batch: int
    cases: int


SIZES = {
    "demo": Size(
        (48, 48, 24), (2.0, 2.0, 3.0), (2.25, 2.25, 2.25), (48, 48, 32), 8, "instance", 2, 8
    ),
    "reference": Size(
        (320, 320, 24), (0.6, 0.6, 3.0), (0.5, 0.5, 1.0), (160, 160, 32), 32, "batch", 2, 2
    ),
}


def configuration(size: Size, folder: Path, epochs: int, preset: str = "paper") -> TrainingConfig:
    """Return a configuration of one site, one member and one visit with this number of epochs."""
    return parse_config(
        {
            "name": "Speed",
            "method": {"kind": "fedcross", "rounds": 1, "local_epochs": epochs},
            "network": {"name": "unet", "base_channels": size.base_channels, "norm": size.norm},
            "preprocessing": {"spacing_mm": size.spacing_mm, "patch_size": size.patch},
            "structures": [{"name": "Organ", "label": 1}],
            "training": {"batch_size": size.batch, "patches_per_case": 2},
            "augmentation": {"preset": preset},
            "sites": [
                {
                    "name": "site",
                    "images": "images",
                    "labels": "labels",
                    "split": [size.cases, 0, 0],
                }
            ],
        },
        source="benchmark",
    ).model_copy(update={"data_root": folder})


def make_cases(size: Size, folder: Path) -> None:
    """Write volumes of noise with a bright ball, as compressed NIfTI."""
    rng = np.random.default_rng(0)
    x, y, z = (np.linspace(-1, 1, n) for n in size.voxels)
    ball = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 < 0.3
    for index in range(size.cases):
        image = sitk.GetImageFromArray(
            (rng.normal(100, 30, ball.shape) + 60 * ball).astype(np.int16)
        )
        label = sitk.GetImageFromArray(ball.astype(np.uint8))
        for kind, picture in (("images", image), ("labels", label)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            picture.SetSpacing(size.voxel_mm)
            sitk.WriteImage(picture, str(folder / kind / f"case-{index}.nii.gz"))


class FromFiles(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """The samples of the peer; each access reads, normalises and resamples one."""

    def __init__(self, size: Size, folder: Path) -> None:
        self._size = size
        self._files = sorted((folder / "images").iterdir()) * 2  # two patches of every case

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        path, size = self._files[index], self._size
        image = sitk.Normalize(sitk.ReadImage(str(path), sitk.sitkFloat32))
        label = sitk.ReadImage(str(path.parents[1] / "labels" / path.name))
        extent = [n * s for n, s in zip(size.voxels, size.voxel_mm, strict=True)]
        side = [n * s for n, s in zip(size.patch, size.spacing_mm, strict=True)]
        free = [max(e - s, 0.0) for e, s in zip(extent, side, strict=True)]
        origin = [f * u for f, u in zip(free, torch.rand(3).tolist(), strict=True)]
        centre = [o + s / 2 for o, s in zip(origin, side, strict=True)]
        turn = sitk.Euler3DTransform(centre, *(ROTATION_RAD * (2 * torch.rand(3) - 1)).tolist())
        grid = {"size": size.patch, "outputOrigin": origin, "outputSpacing": size.spacing_mm}
        arrays = [
            sitk.GetArrayFromImage(sitk.Resample(picture, transform=turn, interpolator=how, **grid))
            for picture, how in ((image, sitk.sitkLinear), (label, sitk.sitkNearestNeighbor))
        ]
        return torch.from_numpy(arrays[0]).float()[None], torch.from_numpy(arrays[1]).long()


def peer(size: Size, folder: Path, device: torch.device, epochs: int, tell: Tell) -> None:
    """Train, and report the number of samples after every epoch."""
    config = configuration(size, folder, epochs)
    network = build_network(config.network)
    initialise(network, torch_generator("benchmark", 0))
    network.to(device).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.99, nesterov=True)
    data = FromFiles(size, folder)
    loader = DataLoader(data, size.batch, shuffle=True, num_workers=WORKERS)
    for _ in range(epochs):
        for images, labels in loader:
            loss = dice_ce_loss(network(images.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
        tell(len(data))


def ours(
    size: Size,
    folder: Path,
    device: torch.device,
    epochs: int,
    tell: Tell,
    preset: str = "paper",
) -> None:
    """Train with a visit, and report the number of samples after every epoch."""
    config = configuration(size, folder, epochs, preset)
    (site,) = load_sites(config, find_all_cases(config))
    member = new_member(0, config.network, 0)
    visit(member, site, 0, config, device, lambda *_: tell(size.cases * 2))


def pair(size: Size, folder: Path, device: torch.device, epochs: int, tell: Tell) -> None:
    """Train two members at the same time, as ``--device cuda:0,cuda:0`` does."""
    config = configuration(size, folder, epochs)
    (site,) = load_sites(config, find_all_cases(config))
    both = threading.Barrier(2, action=lambda: tell(2 * size.cases * 2))

    def one(index: int) -> None:
        member = new_member(index, config.network, 0)
        with torch.cuda.stream(torch.cuda.Stream(device)):
            visit(member, site, 0, config, device, lambda *_: both.wait())

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, range(2)))


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
