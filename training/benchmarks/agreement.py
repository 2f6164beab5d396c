"""Compare all back-ends with eager PyTorch in fp32, on trained bundles and real volumes.

    python training/benchmarks/agreement.py --out FILE.json BUNDLE=FOLDER_OF_IMAGES ...

For every bundle, volume, back-end and precision, the benchmark measures the lowest Dice over the
structures with the label map of eager fp32, and the largest difference between the maps of the standard
deviation. It prints a table with the worst values over all volumes. A back-end agrees if its lowest Dice
is at least 0.999 and all differences are below 0.02.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from fedcross.contract.request import SegmentRequest
from fedcross.infer.segment import segment
from fedcross.runtime.reporting import NullReporter

LEAST_DICE = 0.999
STD_LIMIT = 0.02
REFERENCE = ("torch", "fp32")
CONTENDERS = (
    ("tuned", "fp32"),
    ("tuned", "bf16"),
    ("tuned", "fp16"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
)


@dataclass(frozen=True)
class Agreement:
    """Comparison of one back-end with eager PyTorch in fp32 on one volume.

    Attributes
    ----------
    bundle, volume
        Names of the bundle and of the volume.
    backend, precision
        The back-end and its number format.
    dice
        Lowest Dice over the structures; 1 for two empty label maps.
    moved
        Number of voxels with different labels.
    std_difference
        Largest difference between the maps of the standard deviation.
    """

    bundle: str
    volume: str
    backend: str
    precision: str
    dice: float
    moved: int
    std_difference: float

    @property
    def agrees(self) -> bool:
        """Whether both values are within the limits."""
        return self.dice >= LEAST_DICE and self.std_difference < STD_LIMIT


def lowest_dice(found: NDArray[np.uint8], expected: NDArray[np.uint8]) -> float:
    """Return the lowest Dice over all labels of either map except 0; 1 if there are none."""
    labels = set(np.unique(found)) | set(np.unique(expected)) - {0}
    overlaps = []
    for label in labels - {0}:
        ours, theirs = found == label, expected == label
        overlaps.append(2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()))
    return float(min(overlaps, default=1))


def segment_with(
    bundle: Path, image: Path, backend: str, precision: str
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Segment a volume and return its label map and its map of the standard deviation, (z, y, x)."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        request = SegmentRequest(
            bundle, image, out, device="cpu", backend=backend, precision=precision
        )
        segment(request, NullReporter())
        files = (out / "segmentation.seg.nrrd", out / "uncertainty.nrrd")
        labels, std = (sitk.GetArrayFromImage(sitk.ReadImage(str(file))) for file in files)
    return labels, std


def measure(bundle: Path, image: Path) -> list[Agreement]:
    """Run every back-end on one volume and compare it with the reference."""
    labels, std = segment_with(bundle, image, *REFERENCE)
    rows = []
    for backend, precision in CONTENDERS:
        found, spread = segment_with(bundle, image, backend, precision)
        row = Agreement(
            bundle=bundle.name,
            volume=image.name.split(".")[0],
            backend=backend,
            precision=precision,
            dice=lowest_dice(found, labels),
            moved=int((found != labels).sum()),
            std_difference=float(np.abs(spread - std).max()),
        )
        print(row, flush=True)
        rows.append(row)
    return rows


def table(rows: Sequence[Agreement]) -> str:
    """Return a Markdown table with the worst values over all volumes for each bundle and back-end."""
    lines = [
        "| bundle | back-end | volumes | worst Dice | most moved | largest std difference | agrees |",
        "|---|---|---|---|---|---|---|",
    ]
    for bundle in dict.fromkeys(row.bundle for row in rows):
        for backend, precision in CONTENDERS:
            wanted = (bundle, backend, precision)
            chosen = [row for row in rows if (row.bundle, row.backend, row.precision) == wanted]
            lines.append(
                f"| {bundle} | {backend} {precision} | {len(chosen)} "
                f"| {min(r.dice for r in chosen):.5f} | {max(r.moved for r in chosen)} "
                f"| {max(r.std_difference for r in chosen):.5f} "
                f"| {'yes' if all(r.agrees for r in chosen) else 'no'} |"
            )
    return "\n".join(lines)


def main() -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", nargs="+", help="BUNDLE=FOLDER_OF_IMAGES")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--volumes", type=int, default=8, help="largest number from each folder")
    given = parser.parse_args()
    rows = []
    for pair in given.pairs:
        bundle, images = map(Path, pair.split("="))
        found = [image for image in sorted(images.glob("*.*")) if "label" not in image.name]
        for image in found[: given.volumes]:
            rows += measure(bundle, image)
    given.out.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
