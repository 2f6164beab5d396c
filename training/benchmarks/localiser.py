"""Compare segmentations with and without the localiser, on trained bundles and their volumes.

    python training/benchmarks/localiser.py --out FILE.json BUNDLE=FOLDER_OF_IMAGES ...

For every bundle and volume, the benchmark measures the lowest Dice over the structures between the label
map of ``--localise`` and that of the whole volume, the share of patches computed, and the ratio of the
processor times. It prints a table with the worst values over all volumes. The exit code is 1 if a Dice
is below 0.995, the limit for the localiser to be used by default.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import SimpleITK as sitk
from agreement import lowest_dice
from numpy.typing import NDArray

from fedcross.contract.request import SegmentRequest
from fedcross.infer.segment import segment
from fedcross.runtime.reporting import NullReporter

LEAST_DICE = 0.995


@dataclass(frozen=True)
class Comparison:
    """Comparison of the segmentations of one volume with and without the localiser.

    Attributes
    ----------
    bundle, volume
        Names of the bundle and of the volume.
    localised
        Whether some patches were left out; False if the whole volume was computed.
    dice
        Lowest Dice over the structures; 1 for two empty label maps.
    computed
        Share of the full grid's patches that the members computed.
    times_as_fast
        Processor time without the localiser divided by that with it, from input file to output files.
    """

    bundle: str
    volume: str
    localised: bool
    dice: float
    computed: float
    times_as_fast: float


def time_segmentation(request: SegmentRequest) -> tuple[NDArray[np.uint8], float, float]:
    """Return the label map, the share of patches computed, and the processor time in s."""
    began = time.process_time()
    summary = segment(request, NullReporter())
    seconds = time.process_time() - began
    labels = sitk.GetArrayFromImage(
        sitk.ReadImage(str(request.out / summary.files["segmentation"]))
    )
    return labels, summary.computed, seconds


def compare(bundle: Path, image: Path) -> Comparison:
    """Segment one volume without and with the localiser."""
    with TemporaryDirectory() as folder:
        whole = SegmentRequest(bundle, image, Path(folder) / "out", device="cpu")
        expected, _, whole_seconds = time_segmentation(whole)
        found, computed, seconds = time_segmentation(replace(whole, localise=True))
    row = Comparison(
        bundle=bundle.name,
        volume=image.name.split(".")[0],
        localised=computed < 1,
        dice=lowest_dice(found, expected),
        computed=computed,
        times_as_fast=whole_seconds / seconds,
    )
    print(row, flush=True)
    return row


def table(rows: Sequence[Comparison]) -> str:
    """Return a Markdown table with the worst values over all volumes for each bundle."""
    lines = [
        "| bundle | volumes | localised | worst Dice | patches computed (median) "
        "| times as fast (median) | slowest |",
        "|---|---|---|---|---|---|---|",
    ]
    for bundle in dict.fromkeys(row.bundle for row in rows):
        chosen = [row for row in rows if row.bundle == bundle]
        lines.append(
            f"| {bundle} | {len(chosen)} | {sum(r.localised for r in chosen)} "
            f"| {min(r.dice for r in chosen):.5f} "
            f"| {statistics.median(r.computed for r in chosen):.0%} "
            f"| {statistics.median(r.times_as_fast for r in chosen):.2f} "
            f"| {min(r.times_as_fast for r in chosen):.2f} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", nargs="+", help="BUNDLE=FOLDER_OF_IMAGES")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    given = parser.parse_args()
    rows = []
    for pair in given.pairs:
        bundle, folder = map(Path, pair.split("="))
        images = sorted(folder.glob("*.*"))
        with TemporaryDirectory() as out:  # fills the cache of compiled members; not measured
            time_segmentation(SegmentRequest(bundle, images[0], Path(out) / "out", device="cpu"))
        rows += [compare(bundle, image) for image in images]
    given.out.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    print(table(rows))
    return 0 if all(row.dice >= LEAST_DICE for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
