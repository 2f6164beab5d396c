"""Compare the inference of FedCross with MONAI: same bundle, same volume, whole processes.

    python training/benchmarks/inference.py --out FOLDER [--size 320 320 24] [--members 4]

The peer runs MONAI's `SlidingWindowInferer` (same patch, overlap and Gaussian weights; fp32, no_grad) on
one member after the other, and averages with MONAI's `MeanEnsemble`. Both read, resample and write with
FedCross. Each contender runs as a process of its own. The benchmark measures wall time, processor time
(which other programs influence least) and the peak resident set. Contenders limited to AVX2 are compared
with the peer limited to AVX2.

The speed of a contender is compared only if its results agree with the peer's within the limits of
`agreement`; otherwise its row says "not compared" and the exit code is 1. With the localiser a Dice of
0.995 is enough, and the standard deviation is not compared, because it is 0 away from the structures.

``--device cuda:0`` runs the benchmark on a GPU. It also reports which share of the GPU's rate of bf16
matrix products the networks reach.

``--scaling`` measures several volume sizes and numbers of members, and how time grows with them.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from agreement import LEAST_DICE, STD_LIMIT, lowest_dice
from arithmetic import matrix_rate
from inference_contenders import CONTENDERS, ON_A_GPU, Contender, fedcross, folder_name, run
from inference_material import make_bundle, make_volume
from inference_report import Row, Scaled, write_report
from localiser import LEAST_DICE as LEAST_DICE_LOCALISED
from machine_facts import processor_facts

SCALING_SIZES = ((160, 160, 16), (224, 224, 24), (320, 320, 24), (384, 384, 32))
SCALING_MEMBERS = (1, 2, 4, 8)


def peer(bundle: Path, image: Path, out: Path, device: str) -> None:
    """Segment with MONAI's inferer and ensemble; this is the process of the peer."""
    import torch
    from monai.inferers import SlidingWindowInferer
    from monai.transforms import MeanEnsemble

    from fedcross.ensemble.label_map import label_map
    from fedcross.model.bundle import open_bundle
    from fedcross.runtime.device import resolve_device
    from fedcross.volumes.files.read import read_volume
    from fedcross.volumes.files.segmentation import write_segmentation
    from fedcross.volumes.files.write import write_volume
    from fedcross.volumes.prepare import prepare, resample_to_source

    opened = open_bundle(bundle)
    steps = opened.manifest.preprocessing
    prepared = prepare(read_volume(image), steps)
    inferer = SlidingWindowInferer(
        roi_size=steps.patch_size[::-1], overlap=steps.overlap, mode="gaussian", sw_batch_size=1
    )
    where = resolve_device(device)
    batch = torch.from_numpy(prepared.array)[None].to(where)
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
    write_volume(prepared.source.image(resample_to_source(std, prepared)), out / "uncertainty.nrrd")


def compare(out: Path, reference: Path) -> tuple[float, float]:
    """Return the lowest Dice over the labels and the largest difference of the std maps."""

    def read(folder: Path, file: str) -> np.ndarray:
        return sitk.GetArrayFromImage(sitk.ReadImage(str(folder / file)))

    labels = (read(folder, "segmentation.seg.nrrd") for folder in (out, reference))
    maps = [read(folder, "uncertainty.nrrd") for folder in (out, reference)]
    return lowest_dice(*labels), float(np.abs(maps[0] - maps[1]).max())


def side_by_side(
    bundle: Path, image: Path, out: Path, contenders: list[Contender], device: str
) -> list[Row]:
    """Run the contenders in order; each must follow the peer that it is compared with."""
    rows: dict[str, Row] = {}
    for contender in contenders:
        folder = out / contender.folder
        seconds, processor, peak, _ = run(contender, bundle, image, folder, device)
        dice, std = compare(folder, out / folder_name(contender.peer))
        rows[contender.name] = Row(
            contender.name, contender.peer, seconds, processor, peak, dice, std,
            comparable=dice >= LEAST_DICE_LOCALISED
            if "--localise" in (contender.options or ())
            else dice >= LEAST_DICE and std < STD_LIMIT,
        )  # fmt: skip
        print(rows[contender.name], flush=True)
    return list(rows.values())


def scale(out: Path, contender: Contender, members: int, device: str) -> list[Scaled]:
    """Measure all sizes with `members`, and the smallest size with other numbers of members."""
    cases = [(size, members) for size in SCALING_SIZES]
    cases += [(SCALING_SIZES[0], k) for k in SCALING_MEMBERS if k != members]
    found = []
    for size, k in cases:
        image, bundle = material(out, size, k)
        seconds, processor, peak, _ = run(contender, bundle, image, out / "scaled", device)
        timings = json.loads((out / "scaled" / "summary.json").read_text())["timings_s"]
        found.append(Scaled(size, k, seconds, processor, peak, timings))
        print(found[-1], flush=True)
    return found


def material(out: Path, size: tuple[int, int, int], members: int) -> tuple[Path, Path]:
    """Return the paths of the volume and the bundle, which are created if they do not exist."""
    image, bundle = out / f"volume_{'x'.join(map(str, size))}.nrrd", out / f"bundle_{members}"
    if not image.exists():
        make_volume(image, size)
    if not bundle.exists():
        make_bundle(bundle, members)
    return image, bundle


def share_of_matrix_rate(folder: Path, bundle: Path, image: Path, device: str) -> float:
    """Return a contender's FLOP/s as a share of the GPU's rate of bf16 matrix products."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from fedcross.ensemble.members import STAGE
    from fedcross.model.bundle import open_bundle
    from fedcross.patches.placement import plan_patches
    from fedcross.volumes.files.read import read_volume
    from fedcross.volumes.prepare import prepare

    opened, gpu = open_bundle(bundle), torch.device(device)
    steps = opened.manifest.preprocessing
    patch = steps.patch_size[::-1]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        opened.load_member(0, gpu)(torch.zeros(1, 1, *patch, device=gpu))
    shape = prepare(read_volume(image), steps).grid.shape
    summary = json.loads((folder / "summary.json").read_text())
    patches = len(plan_patches(shape, patch, steps.overlap)) * len(opened.manifest.members)
    flop = counter.get_total_flops() * patches * summary["computed"]
    return flop / summary["timings_s"][STAGE] / matrix_rate(gpu)


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, nargs=3, default=(320, 320, 24), help="x y z")
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--device", default="cpu", help="cpu or cuda:0")
    parser.add_argument(
        "--only", nargs="*", help="names of contenders; an earlier run must have run their peer"
    )
    parser.add_argument(
        "--scaling", action="store_true", help="measure sizes and numbers of members"
    )
    parser.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--bundle", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--image", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Run the benchmark and return the exit code."""
    given = parse_arguments()
    if given.peer:
        peer(given.bundle, given.image, given.out, given.device)
        return 0
    given.out.mkdir(parents=True, exist_ok=True)
    before = processor_facts()
    image, bundle = material(given.out, tuple(given.size), given.members)
    on_gpu = given.device != "cpu"
    chosen = [
        c for c in (ON_A_GPU if on_gpu else CONTENDERS) if not given.only or c.name in given.only
    ]
    rows = side_by_side(bundle, image, given.out, chosen, given.device)
    default = fedcross("tuned", "fp16") if on_gpu else fedcross("openvino", "fp32")
    scaled = scale(given.out, default, given.members, given.device) if given.scaling else []
    described = before | {
        "device": given.device, "size": given.size, "members": given.members,
        "load_after": processor_facts()["load"],
    }  # fmt: skip
    if on_gpu:
        described["of_the_bf16_matrix_rate"] = {
            c.name: share_of_matrix_rate(given.out / c.folder, bundle, image, given.device)
            for c in chosen
            if c.options is not None
        }
        print(described["of_the_bf16_matrix_rate"])
    write_report(rows, scaled, described, given.out)
    return 0 if all(row.comparable for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
