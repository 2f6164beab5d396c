"""Inference side by side with MONAI: the same bundle, the same volume, file to files, whole processes.

    python training/benchmarks/inference.py --out FOLDER [--size 320 320 24] [--members 4]

The peer runs MONAI's `SlidingWindowInferer` (same patch, overlap and Gaussian weights, fp32, no_grad)
on one member after the other and averages with MONAI's `MeanEnsemble`; reading, resampling and writing
are ours for both. Each contender is a process of its own; memory is its peak resident set. Processor
time, which other programs disturb least, stands beside wall time. Rows held to AVX2 are compared with
the peer held to AVX2. A contender whose labels or spread differ from the peer's by more than `agreement`
allows is not compared: its row says so, and the exit code is 1. With the localiser a Dice of 0.995 is
enough, and the spread, which is 0 away from the structures then, is not looked at.

``--device cuda:0`` compares on a GPU instead, and tells how much of the rate at which it multiplies bf16
matrices the networks reach (untested: no GPU was at hand).

``--scaling`` measures volumes and numbers of members, and from them how time grows.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from agreement import LEAST_DICE, STD_LIMIT, lowest_dice
from arithmetic import matrix_rate
from child_process import Usage, run_measured
from inference_material import make_bundle, make_volume
from inference_report import Row, Scaled, write_report
from localiser import LEAST_DICE as LEAST_DICE_LOCALISED

WAITING = {"OMP_WAIT_POLICY": "passive"}
"""Threads of PyTorch that wait for one another would count as work otherwise, on a busy machine."""
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
"""PyTorch and OpenVINO each hold a oneDNN of their own; both heed its variable."""


COMPILE = """
import sys
from pathlib import Path
from fedcross.backends.openvino_backend import OpenVINOBackend
from fedcross.model.bundle import open_bundle
bundle = open_bundle(Path(sys.argv[1]))
for index in range(len(bundle.manifest.members)):
    OpenVINOBackend(sys.argv[2]).load(bundle, index)
"""
"""What happens once for a bundle and a processor is done before, and not measured."""


@dataclass(frozen=True)
class Contender:
    """What is run: the peer where `options` is None; held to AVX2 or not."""

    name: str
    options: tuple[str, ...] | None
    avx2: bool = False

    @property
    def precision(self) -> str:
        """What it computes with."""
        return self.options[self.options.index("--precision") + 1] if self.options else "fp32"

    @property
    def peer(self) -> str:
        """Whom it is compared with."""
        return "MONAI fp32, AVX2" if self.avx2 else "MONAI fp32"

    @property
    def folder(self) -> str:
        """Where its results go."""
        return _folder(self.name)


def _folder(name: str) -> str:
    return name.replace(" ", "_").replace(",", "")


def _ours(backend: str, precision: str, *, avx2: bool = False, localise: bool = False) -> Contender:
    name = (
        f"{backend} {precision}" + (", localiser" if localise else "") + (", AVX2" if avx2 else "")
    )
    options = ("--backend", backend, "--precision", precision)
    return Contender(name, (*options, "--localise") if localise else options, avx2)


CONTENDERS = (
    Contender("MONAI fp32", None),
    _ours("torch", "fp32"),
    _ours("tuned", "fp32"),
    _ours("tuned", "bf16"),
    _ours("openvino", "fp32"),
    _ours("openvino", "bf16"),
    _ours("openvino", "fp32", localise=True),
    _ours("openvino", "bf16", localise=True),
    Contender("MONAI fp32, AVX2", None, avx2=True),
    _ours("openvino", "fp32", avx2=True),
    _ours("openvino", "fp32", avx2=True, localise=True),
)
ON_A_GPU = (
    Contender("MONAI fp32", None),
    _ours("torch", "fp32"),
    _ours("tuned", "fp32"),
    _ours("tuned", "bf16"),
    _ours("tuned", "fp16"),
    _ours("tuned", "fp16", localise=True),
)
SCALING_SIZES = ((160, 160, 16), (224, 224, 24), (320, 320, 24), (384, 384, 32))
SCALING_MEMBERS = (1, 2, 4, 8)


def peer(bundle: Path, image: Path, out: Path, device: str) -> None:
    """Segment with MONAI's inferer and ensemble: the process that we are compared with."""
    import torch
    from monai.inferers import SlidingWindowInferer
    from monai.transforms import MeanEnsemble

    from fedcross.ensemble.label_map import label_map
    from fedcross.model.bundle import open_bundle
    from fedcross.runtime.device import resolve_device
    from fedcross.volumes.prepare import prepare, to_source_grid
    from fedcross.volumes.segmentation_io import write_segmentation
    from fedcross.volumes.volume_io import read_volume, write_volume

    opened = open_bundle(bundle)
    steps = opened.manifest.preprocessing
    prepared = prepare(read_volume(image), steps)
    inferer = SlidingWindowInferer(
        roi_size=steps.patch_size[::-1], overlap=steps.overlap, mode="gaussian", sw_batch_size=1
    )
    where = resolve_device(device)
    batch = torch.from_numpy(prepared.array)[None, None].to(where)
    predictions = []
    with torch.no_grad():
        for index in range(len(opened.manifest.members)):
            network = opened.load_member(index, where)
            predictions.append(inferer(batch, lambda x, n=network: n(x).softmax(dim=1))[0])
    mean = np.asarray(MeanEnsemble()(predictions).cpu(), dtype=np.float32)
    std = torch.stack([p[1] for p in predictions]).std(dim=0, correction=0).cpu().numpy()
    out.mkdir(parents=True, exist_ok=True)
    labels = prepared.source.image(label_map(mean, prepared))
    write_segmentation(labels, opened.manifest.structures, out / "segmentation.seg.nrrd")
    write_volume(prepared.source.image(to_source_grid(std, prepared)), out / "uncertainty.nrrd")


def run(contender: Contender, bundle: Path, image: Path, out: Path, device: str) -> Usage:
    """Run a contender in a process of its own."""
    env = os.environ | WAITING | (AVX2 if contender.avx2 else {})
    if contender.options is None:
        command = [sys.executable, __file__, "--peer"]
    else:
        command = [sys.executable, "-m", "fedcross.infer", *contender.options]
    if contender.options and "openvino" in contender.options:
        subprocess.run(
            [sys.executable, "-c", COMPILE, str(bundle), contender.precision], env=env, check=True
        )
    command += ["--device", device, "--bundle", str(bundle), "--image", str(image)]
    command += ["--out", str(out)]
    return run_measured(command, env)


def difference(out: Path, reference: Path) -> tuple[float, float]:
    """Return the lowest Dice of the labels and the largest difference of the std maps."""

    def read(folder: Path, file: str) -> np.ndarray:
        return sitk.GetArrayFromImage(sitk.ReadImage(str(folder / file)))

    labels = (read(folder, "segmentation.seg.nrrd") for folder in (out, reference))
    maps = [read(folder, "uncertainty.nrrd") for folder in (out, reference)]
    return lowest_dice(*labels), float(np.abs(maps[0] - maps[1]).max())


def side_by_side(
    bundle: Path, image: Path, out: Path, contenders: list[Contender], device: str
) -> list[Row]:
    """Run the contenders one after another; each follows the peer it is compared with."""
    rows: dict[str, Row] = {}
    for contender in contenders:
        folder = out / contender.folder
        seconds, processor, peak = run(contender, bundle, image, folder, device)
        dice, std = difference(folder, out / _folder(contender.peer))
        rows[contender.name] = Row(
            contender.name, contender.peer, seconds, processor, peak, dice, std,
            comparable=dice >= LEAST_DICE_LOCALISED
            if "--localise" in (contender.options or ())
            else dice >= LEAST_DICE and std < STD_LIMIT,
        )  # fmt: skip
        print(rows[contender.name], flush=True)
    return list(rows.values())


def scale(out: Path, contender: Contender, members: int, device: str) -> list[Scaled]:
    """Measure volumes with `members`, and the smallest volume with other numbers of them."""
    cases = [(size, members) for size in SCALING_SIZES]
    cases += [(SCALING_SIZES[0], k) for k in SCALING_MEMBERS if k != members]
    found = []
    for size, k in cases:
        image, bundle = material(out, size, k)
        seconds, processor, peak = run(contender, bundle, image, out / "scaled", device)
        timings = json.loads((out / "scaled" / "summary.json").read_text())["timings_s"]
        found.append(Scaled(size, k, seconds, processor, peak, timings))
        print(found[-1], flush=True)
    return found


def material(out: Path, size: tuple[int, int, int], members: int) -> tuple[Path, Path]:
    """Return the volume and the bundle, made where they are not yet."""
    image, bundle = out / f"volume_{'x'.join(map(str, size))}.nrrd", out / f"bundle_{members}"
    if not image.exists():
        make_volume(image, size)
    if not bundle.exists():
        make_bundle(bundle, members)
    return image, bundle


def of_the_rate(folder: Path, bundle: Path, image: Path, device: str) -> float:
    """Share of a GPU's rate of multiplying matrices that the members of a contender reached."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from fedcross.ensemble.members import STAGE
    from fedcross.model.bundle import open_bundle
    from fedcross.patches.placement import plan_patches
    from fedcross.volumes.prepare import prepare
    from fedcross.volumes.volume_io import read_volume

    opened, where = open_bundle(bundle), torch.device(device)
    steps = opened.manifest.preprocessing
    patch = steps.patch_size[::-1]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        opened.load_member(0, where)(torch.zeros(1, 1, *patch, device=where))
    shape = prepare(read_volume(image), steps).array.shape
    summary = json.loads((folder / "summary.json").read_text())
    patches = len(plan_patches(shape, patch, steps.overlap)) * len(opened.manifest.members)
    flop = counter.get_total_flops() * patches * summary["computed"]
    return flop / summary["timings_s"][STAGE] / matrix_rate(where)


def facts() -> dict[str, Any]:
    """Return when and on what it was measured."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "processor": model or platform.processor() or platform.machine(),
        "instructions": [flag for flag in wanted if flag in flags],
        "cores": os.cpu_count(),
        "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "versions": {name: version(name) for name in ("torch", "monai", "openvino", "numpy")},
    }


def main() -> int:
    """Run the contenders that this machine has; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, nargs=3, default=(320, 320, 24), help="x y z")
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--device", default="cpu", help="cpu or cuda:0")
    parser.add_argument("--only", nargs="*", help="names of contenders; their peer must have run")
    parser.add_argument("--scaling", action="store_true", help="sizes and numbers of members, too")
    parser.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--bundle", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--image", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peer:
        peer(given.bundle, given.image, given.out, given.device)
        return 0
    given.out.mkdir(parents=True, exist_ok=True)
    before = facts()
    image, bundle = material(given.out, tuple(given.size), given.members)
    on_gpu = given.device != "cpu"
    chosen = [
        c for c in (ON_A_GPU if on_gpu else CONTENDERS) if not given.only or c.name in given.only
    ]
    rows = side_by_side(bundle, image, given.out, chosen, given.device)
    auto = _ours("tuned", "fp16") if on_gpu else _ours("openvino", "fp32")
    scaled = scale(given.out, auto, given.members, given.device) if given.scaling else []
    described = before | {
        "device": given.device, "size": given.size, "members": given.members,
        "load_after": facts()["load"],
    }  # fmt: skip
    if on_gpu:
        described["of_the_bf16_matrix_rate"] = {
            c.name: of_the_rate(given.out / c.folder, bundle, image, given.device)
            for c in chosen
            if c.options is not None
        }
        print(described["of_the_bf16_matrix_rate"])
    write_report(rows, scaled, described, given.out)
    return 0 if all(row.comparable for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
