"""Does looking for the structures first change what is segmented? On trained bundles and their volumes.

    python training/benchmarks/localiser.py --out FILE.json BUNDLE=FOLDER_OF_IMAGES ...

For every bundle and volume: Dice of the label map of ``--localise`` with that of the whole volume,
structure by structure; the share of patches computed; and the processor time beside that of the whole
volume. Prints a table with the worst of all volumes; 0.995 is what it takes to be on by default.
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
class Look:
    """One volume with the localiser, beside the whole volume.

    Attributes
    ----------
    localised
        Whether some patches were left out; otherwise the whole volume was computed.
    dice
        The lowest over the structures; two empty label maps count as 1.
    computed
        Share of the full grid's patches that the members computed.
    times_as_fast
        Processor time of the whole volume over that with the localiser, file to files.
    """

    bundle: str
    volume: str
    localised: bool
    dice: float
    computed: float
    times_as_fast: float


def timed(request: SegmentRequest) -> tuple[NDArray[np.uint8], float, float]:
    """Return the label map, the share of patches computed, and the processor time in s."""
    began = time.process_time()
    summary = segment(request, NullReporter())
    seconds = time.process_time() - began
    labels = sitk.GetArrayFromImage(
        sitk.ReadImage(str(request.out / summary.files["segmentation"]))
    )
    return labels, summary.computed, seconds


def look(bundle: Path, image: Path) -> Look:
    """Run both on one volume."""
    with TemporaryDirectory() as folder:
        whole = SegmentRequest(bundle, image, Path(folder) / "out", device="cpu")
        expected, _, of_whole = timed(whole)
        found, computed, seconds = timed(replace(whole, localise=True))
    row = Look(
        bundle=bundle.name,
        volume=image.name.split(".")[0],
        localised=computed < 1,
        dice=lowest_dice(found, expected),
        computed=computed,
        times_as_fast=of_whole / seconds,
    )
    print(row, flush=True)
    return row


def table(rows: Sequence[Look]) -> str:
    """Return the worst of all volumes, by bundle, as Markdown."""
    lines = [
        "| bundle | volumes | localised | worst Dice | patches computed (median) "
        "| times as fast (median) | slowest |",
        "|---|---|---|---|---|---|---|",
    ]
    for bundle in dict.fromkeys(row.bundle for row in rows):
        of = [row for row in rows if row.bundle == bundle]
        lines.append(
            f"| {bundle} | {len(of)} | {sum(r.localised for r in of)} | {min(r.dice for r in of):.5f} "
            f"| {statistics.median(r.computed for r in of):.0%} "
            f"| {statistics.median(r.times_as_fast for r in of):.2f} "
            f"| {min(r.times_as_fast for r in of):.2f} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Measure and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", nargs="+", help="BUNDLE=FOLDER_OF_IMAGES")
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    given = parser.parse_args()
    rows = []
    for pair in given.pairs:
        bundle, folder = map(Path, pair.split("="))
        images = sorted(folder.glob("*.*"))
        with TemporaryDirectory() as out:  # members are compiled once, and that is not measured
            timed(SegmentRequest(bundle, images[0], Path(out) / "out", device="cpu"))
        rows += [look(bundle, image) for image in images]
    given.out.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    print(table(rows))
    return 0 if all(row.dice >= LEAST_DICE for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
