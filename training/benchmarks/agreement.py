"""Do all back-ends say what eager PyTorch in fp32 says? On trained bundles and real volumes.

    python training/benchmarks/agreement.py --out FILE.json BUNDLE=FOLDER_OF_IMAGES ...

For every bundle, volume, back-end and precision: Dice of the label map with eager fp32, structure by
structure, and the largest difference of the map of the standard deviation. Prints a table with the worst
of all volumes; a back-end agrees when its worst Dice is at least 0.999 and no difference reaches 0.02.
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
    """One volume on one back-end, beside eager PyTorch in fp32.

    Attributes
    ----------
    dice
        The lowest over the structures; two empty label maps count as 1.
    moved
        Voxels with another label.
    std_difference
        The largest.
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
        """Whether it may be compared with, and used for, the other."""
        return self.dice >= LEAST_DICE and self.std_difference < STD_LIMIT


def lowest_dice(found: NDArray[np.uint8], expected: NDArray[np.uint8]) -> float:
    """Return the lowest Dice over all labels of either map but 0; 1 where there are none."""
    labels = set(np.unique(found)) | set(np.unique(expected)) - {0}
    overlaps = []
    for label in labels - {0}:
        ours, theirs = found == label, expected == label
        overlaps.append(2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()))
    return float(min(overlaps, default=1))


def result(
    bundle: Path, image: Path, backend: str, precision: str
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return the label map and the map of the standard deviation, (z, y, x)."""
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
    """Run every back-end on one volume."""
    labels, std = result(bundle, image, *REFERENCE)
    rows = []
    for backend, precision in CONTENDERS:
        found, spread = result(bundle, image, backend, precision)
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
    """Return the worst of all volumes, by bundle and back-end, as Markdown."""
    lines = [
        "| bundle | back-end | volumes | worst Dice | most moved | largest std difference | agrees |",
        "|---|---|---|---|---|---|---|",
    ]
    for bundle in dict.fromkeys(row.bundle for row in rows):
        for backend, precision in CONTENDERS:
            wanted = (bundle, backend, precision)
            of = [row for row in rows if (row.bundle, row.backend, row.precision) == wanted]
            lines.append(
                f"| {bundle} | {backend} {precision} | {len(of)} | {min(r.dice for r in of):.5f} | "
                f"{max(r.moved for r in of)} | {max(r.std_difference for r in of):.5f} | "
                f"{'yes' if all(r.agrees for r in of) else 'no'} |"
            )
    return "\n".join(lines)


def main() -> int:
    """Measure and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", nargs="+", help="BUNDLE=FOLDER_OF_IMAGES")
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    parser.add_argument("--volumes", type=int, default=8, help="of each folder, at most")
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
