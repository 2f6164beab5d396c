"""Measure the peak memory of the inference process for several volume sizes and numbers of members K.

    python training/benchmarks/memory.py --out FOLDER [--cases 512x512x600:8 ...]

Each case runs ``python -m fedcross.infer --for-viewer`` as a process of its own, on an int16 volume with
three structures (C = 4), with all four measures, outlines and distances. The volume's spacing differs
slightly from the networks', so that everything is interpolated. The network is tiny and patches do not
overlap, so that a large volume takes only minutes. The overlap does not change the memory; the memory
for the features of a real network must be added. The volumes and results are written to FOLDER and
removed after each case. FOLDER/memory.json keeps the measurements.
"""

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from child_process import run_measured
from machine_facts import processor_facts

from fedcross.model.architecture import DynUNetArchitecture
from fedcross.model.bundle import write_bundle
from fedcross.model.networks import build_network, initialise
from fedcross.runtime.files.atomic import write_atomically
from fedcross.training.step.losses import dice_ce_loss

CASES = ("128x128x128:4", "256x256x300:2", "256x256x300:4", "256x256x300:8",
         "512x512x300:4", "512x512x600:8")  # fmt: skip
SPACING_MM = (0.8, 0.8, 1.0)
NETWORK_SPACING_MM = (0.81, 0.81, 1.01)
PATCH = (128, 128, 64)
CLASSES = 4
LEVELS = (-1000, 0, 400, 900)  # mean intensity of each class, in Hounsfield units
NOISE = 40  # standard deviation of the intensity, in Hounsfield units
STEPS = 300  # training steps


@dataclass(frozen=True)
class Measured:
    """Result of one case.

    Attributes
    ----------
    size
        Voxels of the volume, (x, y, z).
    members
        K.
    peak_mb, seconds
        Peak resident set in MB and wall time in s of the process.
    ensemble_s
        Wall time in s of the stage "ensemble".
    found
        Volume of each segmented structure as a share of the whole volume.
    """

    size: tuple[int, ...]
    members: int
    peak_mb: float
    seconds: float
    ensemble_s: float
    found: tuple[float, ...]


def classes_of(z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return labels 0 to 3 of three ellipsoids at coordinates from -1 to 1, which are broadcast."""
    labels = np.zeros(np.broadcast_shapes(z.shape, y.shape, x.shape), np.uint8)
    for label, (cz, cy, cx) in enumerate(
        ((-0.4, -0.3, -0.3), (0.1, 0.3, 0.3), (0.5, -0.3, 0.3)), 1
    ):
        labels[((z - cz) / 0.35) ** 2 + ((y - cy) / 0.3) ** 2 + ((x - cx) / 0.3) ** 2 < 1] = label
    return labels


def make_volume(path: Path, size: tuple[int, ...]) -> None:
    """Write a volume of `size` (x, y, z); its axes are not LPS, so that inference reorders them."""
    x, y, z = (np.linspace(-1, 1, side) for side in size)
    voxels = np.empty(size[::-1], np.int16)
    rng = np.random.default_rng(0)
    for index, coordinate in enumerate(z):
        labels = classes_of(np.array([[coordinate]]), y[:, None], x[None])
        voxels[index] = np.array(LEVELS)[labels] + rng.normal(0, NOISE, labels.shape)
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(SPACING_MM)
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    sitk.WriteImage(image, str(path), useCompression=True, compressionLevel=1)


def make_bundle(path: Path, members: int) -> None:
    """Train a tiny network briefly to separate the levels, and write slightly perturbed copies of it."""
    architecture = DynUNetArchitecture(
        filters=(4, 4, 4), strides=((1, 1, 1), (2, 2, 2), (2, 2, 2)), norm="batch", classes=CLASSES
    )
    network = build_network(architecture)
    initialise(network, torch.Generator().manual_seed(0))
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    rng = np.random.default_rng(0)
    axes = [np.linspace(-1, 1, side) for side in (16, 32, 32)]
    labels = classes_of(*np.meshgrid(*axes, indexing="ij", sparse=True))
    voxels = np.array(LEVELS)[labels].astype(np.float32)
    scores = (voxels - voxels.mean()) / voxels.std()
    truth = torch.from_numpy(labels.astype(np.int64))[None]
    for _ in range(STEPS):
        noisy = scores + rng.normal(0, NOISE / voxels.std(), scores.shape)
        optimiser.zero_grad()
        dice_ce_loss(
            network(torch.from_numpy(noisy.astype(np.float32))[None, None]), truth
        ).backward()
        optimiser.step()
    trained, weights = [one.detach().clone() for one in network.parameters()], []
    for seed in range(members):
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter, one in zip(network.parameters(), trained, strict=True):
                parameter.copy_(one * (1 + 0.01 * torch.randn(one.shape, generator=generator)))
        weights.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
    manifest = {
        "name": "Tiny",
        "architecture": architecture.model_dump(),
        "preprocessing": {"spacing_mm": NETWORK_SPACING_MM, "patch_size": PATCH, "overlap": 0.0},
        "structures": [{"name": f"Structure {k}", "label": k} for k in range(1, CLASSES)],
        "provenance": {"created": "2026-01-01"},
    }
    write_bundle(path, manifest, weights)


def measure(size: tuple[int, ...], members: int, folder: Path) -> Measured:
    """Run one case, with its files in `folder`."""
    image, bundle, out = folder / "volume.nrrd", folder / "bundle", folder / "out"
    make_volume(image, size)
    make_bundle(bundle, members)
    command = [sys.executable, "-m", "fedcross.infer", "--device", "cpu", "--backend", "tuned"]
    command += ["--bundle", str(bundle), "--image", str(image), "--out", str(out), "--for-viewer"]
    usage = run_measured(command)
    summary = json.loads((out / "summary.json").read_text())
    volume_ml = np.prod(size) * np.prod(SPACING_MM) / 1000
    found = tuple(round(float(one["volume_ml"] / volume_ml), 4) for one in summary["structures"])
    ensemble_s = summary["timings_s"]["ensemble"]
    return Measured(size, members, usage.peak_mb, usage.seconds, ensemble_s, found)


def table(measured: list[dict]) -> str:
    """Return the results as a Markdown table, ordered by size and K."""
    lines = [
        "| volume | K | peak MB | bytes per voxel | s | of it ensemble |",
        "|---|---|---|---|---|---|",
    ]
    for one in sorted(measured, key=lambda one: (int(np.prod(one["size"])), one["members"])):
        per_voxel = one["peak_mb"] * 2**20 / np.prod(one["size"])
        lines.append(
            f"| {'x'.join(map(str, one['size']))} | {one['members']} | {one['peak_mb']:.0f} "
            f"| {per_voxel:.0f} | {one['seconds']:.0f} | {one['ensemble_s']:.0f} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure the requested cases and update the results of earlier runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cases", nargs="*", default=CASES, help="XxYxZ:K")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    file = given.out / "memory.json"
    found = json.loads(file.read_text())["measured"] if file.exists() else []
    for case in given.cases:
        sides, _, members = case.partition(":")
        folder = Path(tempfile.mkdtemp(dir=given.out))
        try:
            one = asdict(measure(tuple(map(int, sides.split("x"))), int(members), folder))
        finally:
            shutil.rmtree(folder)
        print(one, flush=True)
        key = (list(one["size"]), one["members"])
        found = [old for old in found if (list(old["size"]), old["members"]) != key] + [one]
        text = json.dumps({**processor_facts(), "measured": found}, indent=2) + "\n"
        write_atomically(file, text.encode())  # it also holds the results of earlier runs
        (given.out / "table.md").write_text(table(found))


if __name__ == "__main__":
    main()
