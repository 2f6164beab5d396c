"""Inference side by side with MONAI: the same bundle, the same volume, file to files, whole processes.

    python training/benchmarks/inference.py --out FOLDER [--size 320 320 24] [--members 4]

The peer runs MONAI's `SlidingWindowInferer` (same patch, overlap and Gaussian weights, fp32, no_grad)
on one member after the other and averages with MONAI's `MeanEnsemble`; reading, resampling and writing
are ours for both. Each contender is a process of its own; time is wall time from its start to its end,
memory its peak resident set. Prints a table of ratios, writes results.json, and refuses to compare
contenders whose labels or spread differ from the peer's.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

SPACING_MM = (0.6, 0.6, 3.0)
TRAINING_STEPS = 60
MEMBER_NOISE = 0.02  # relative: members that differ a little, as trained ones do
LEAST_DICE = 0.999
MOST_STD_DIFFERENCE = 0.02

CONTENDERS: dict[str, list[str]] = {
    "MONAI fp32": [],
    "torch fp32": ["--backend", "torch", "--precision", "fp32"],
    "tuned fp32": ["--backend", "tuned", "--precision", "fp32"],
    "tuned bf16": ["--backend", "tuned", "--precision", "bf16"],
    "openvino fp32": ["--backend", "openvino", "--precision", "fp32"],
    "openvino bf16": ["--backend", "openvino", "--precision", "bf16"],
}


@dataclass(frozen=True)
class Measured:
    """One contender.

    Attributes
    ----------
    seconds
        Wall time of the whole process.
    peak_mb
        Peak resident set.
    dice
        Of its labels with the peer's.
    std_difference
        Largest difference between its map of the standard deviation and the peer's.
    """

    name: str
    seconds: float
    peak_mb: float
    dice: float
    std_difference: float


def make_volume(path: Path, size: tuple[int, int, int]) -> None:
    """Write a noisy volume with one bright ellipsoid of about a tenth of its volume."""
    rng = np.random.default_rng(0)
    z, y, x = np.indices(size[::-1], dtype=np.float32)
    shape = np.array(size[::-1], np.float32)
    position = np.stack([z, y, x], axis=-1) / shape - 0.5
    inside = (position**2).sum(axis=-1) < 0.29**2
    voxels = rng.normal(100, 30, size[::-1]) + 90 * inside
    image = sitk.GetImageFromArray(voxels.astype(np.float32))
    image.SetSpacing(SPACING_MM)
    sitk.WriteImage(image, str(path))


def make_bundle(path: Path, members: int) -> None:
    """Train the reference U-Net for a moment on such ellipsoids; the members are perturbed copies."""
    import torch

    from fedcross.model.architecture import UNetArchitecture
    from fedcross.model.bundle import write_bundle
    from fedcross.model.networks import build_network, initialise
    from fedcross.train.losses import dice_ce_loss

    generator = torch.Generator().manual_seed(0)
    architecture = UNetArchitecture()
    network = build_network(architecture)
    initialise(network, generator)
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    grid = torch.stack(
        torch.meshgrid(*[torch.linspace(-1, 1, side) for side in (32, 64, 64)], indexing="ij")
    )
    for step in range(TRAINING_STEPS):
        centre = (torch.rand(3, generator=generator) - 0.5)[:, None, None, None]
        label = (((grid - centre) ** 2).sum(0) < 0.45).long()[None]
        image = torch.randn(1, 1, 32, 64, 64, generator=generator) * 0.6 + 2 * label[:, None]
        optimiser.zero_grad()
        dice_ce_loss(network(image), label).backward()
        optimiser.step()
        print(f"\rtraining the benchmark's network: {step + 1}/{TRAINING_STEPS}", end="")
    print()
    states = []
    for _ in range(members):
        state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        for name, tensor in state.items():
            if tensor.is_floating_point() and name.endswith("weight"):
                noise = torch.randn(tensor.shape, generator=generator)
                tensor.mul_(1 + MEMBER_NOISE * noise)
        states.append(state)
    manifest = {
        "name": "Benchmark",
        "architecture": architecture.model_dump(),
        "preprocessing": {"spacing_mm": (0.5, 0.5, 1.0), "patch_size": (160, 160, 32)},
        "structures": [{"name": "Ellipsoid", "label": 1}],
        "provenance": {"created": "2026-01-01"},
    }
    write_bundle(path, manifest, states)


def peer(bundle: Path, image: Path, out: Path) -> None:
    """Segment with MONAI's inferer and ensemble: the process that we are compared with."""
    import torch
    from monai.inferers import SlidingWindowInferer
    from monai.transforms import MeanEnsemble

    from fedcross.infer.ensemble import label_map
    from fedcross.infer.preprocess import prepare, to_source_grid
    from fedcross.infer.segmentation_io import write_segmentation
    from fedcross.infer.volume_io import read_volume, write_volume
    from fedcross.model.bundle import open_bundle

    opened = open_bundle(bundle)
    steps = opened.manifest.preprocessing
    prepared = prepare(read_volume(image), steps)
    inferer = SlidingWindowInferer(
        roi_size=steps.patch_size[::-1], overlap=steps.overlap, mode="gaussian", sw_batch_size=1
    )
    batch = torch.from_numpy(prepared.array)[None, None]
    predictions = []
    with torch.no_grad():
        for index in range(len(opened.manifest.members)):
            network = opened.load_member(index)
            predictions.append(inferer(batch, lambda x, n=network: n(x).softmax(dim=1))[0])
    mean = np.asarray(MeanEnsemble()(predictions), dtype=np.float32)
    std = torch.stack([p[1] for p in predictions]).std(dim=0, correction=0).numpy()
    out.mkdir(parents=True, exist_ok=True)
    labels = prepared.source.image(label_map(mean, prepared))
    write_segmentation(labels, opened.manifest.structures, out / "segmentation.seg.nrrd")
    write_volume(prepared.source.image(to_source_grid(std, prepared)), out / "uncertainty.nrrd")


def run(name: str, bundle: Path, image: Path, out: Path) -> tuple[float, float]:
    """Run a contender; return its wall time in seconds and its peak memory in MB."""
    if name.startswith("MONAI"):
        command = [sys.executable, __file__, "--peer"]
    else:
        command = [sys.executable, "-m", "fedcross.infer", "--device", "cpu", *CONTENDERS[name]]
    command += ["--bundle", str(bundle), "--image", str(image), "--out", str(out)]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)  # what this child alone has used
    process.returncode = status
    seconds = time.perf_counter() - start
    if status != 0:
        raise RuntimeError(f"{name} failed: {said.decode(errors='replace')[-500:]}")
    return seconds, usage.ru_maxrss / 1024  # kB on Linux


def compare(out: Path, reference: Path) -> tuple[float, float]:
    """Return Dice and largest difference of the spread against the peer's results."""

    def read(folder: Path, file: str) -> np.ndarray:
        return sitk.GetArrayFromImage(sitk.ReadImage(str(folder / file)))

    ours, theirs = (read(folder, "segmentation.seg.nrrd") > 0 for folder in (out, reference))
    dice = 2 * (ours & theirs).sum() / max(ours.sum() + theirs.sum(), 1)
    heat = np.abs(read(out, "uncertainty.nrrd") - read(reference, "uncertainty.nrrd"))
    return float(dice), float(heat.max())


def report(rows: list[Measured], facts: dict[str, Any], out: Path) -> None:
    """Print the table; write results.json."""
    base = rows[0]
    lines = [
        "| contender | times as fast | memory | Dice | std difference |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row.name} | {base.seconds / row.seconds:.2f} | {row.peak_mb / base.peak_mb:.2f} | "
            f"{row.dice:.5f} | {row.std_difference:.4f} |"
        )
    print("\n".join(lines))
    content = {"facts": facts, "rows": [asdict(row) for row in rows]}
    (out / "results.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def main() -> int:
    """Run the contenders that this machine has; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, nargs=3, default=(320, 320, 24), help="x y z")
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--only", nargs="*", help="names of contenders, the peer always runs")
    parser.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--bundle", type=Path, help="instead of making one")
    parser.add_argument("--image", type=Path, help="instead of making one")
    given = parser.parse_args()
    if given.peer:
        peer(given.bundle, given.image, given.out)
        return 0
    given.out.mkdir(parents=True, exist_ok=True)
    image, bundle = given.image or given.out / "volume.nrrd", given.bundle or given.out / "bundle"
    if not image.exists():
        make_volume(image, tuple(given.size))
    if not bundle.exists():
        make_bundle(bundle, given.members)
    rows = []
    for name in CONTENDERS:
        if given.only and rows and name not in given.only:
            continue
        folder = given.out / name.replace(" ", "_")
        if "openvino" in name:
            run(name, bundle, image, folder)  # converts the members, once for all time
        seconds, peak = run(name, bundle, image, folder)
        reference = given.out / "MONAI_fp32"
        row = Measured(name, seconds, peak, *compare(folder, reference))
        print(f"{name}: {seconds:.1f} s, {peak:.0f} MB", flush=True)
        if row.dice < LEAST_DICE or row.std_difference > MOST_STD_DIFFERENCE:
            print(f"{name} differs too much to be compared: {row}", file=sys.stderr)
            return 1
        rows.append(row)
    facts = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "members": given.members,
        "versions": {name: version(name) for name in ("torch", "monai", "openvino", "numpy")},
    }
    report(rows, facts, given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
