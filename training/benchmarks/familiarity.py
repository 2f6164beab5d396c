"""Measure how well a bundle's profile tells unfamiliar scans from new ones of its own sites.

    python training/benchmarks/familiarity.py BUNDLE --config CONFIG --out FOLDER \
        --foreign "another modality=FOLDER_OF_IMAGES" --foreign "a site never seen=FOLDER_OF_IMAGES"

The profile is made of the training and validation cases of the configuration. Familiar cases are its
test cases. Unfamiliar are the same test cases after a change (inverted, noise added, cut off, spacing
scaled), and the images of the further folders. For each kind the benchmark writes the AUROC against the
familiar cases and the share above the limit; for the familiar cases that share is the false-alarm rate.
A second table has the AUROC of each group of properties alone.

The false-alarm rate is also measured on many random halves of all cases of the sites: one half makes a
profile, the other half is scored. FOLDER gets ``table.md``, ``scores.csv`` and ``scores.svg``; with
``--properties FILE`` what was measured is kept for another run.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from familiarity_changes import CHANGES
from familiarity_judging import false_alarms, judge, with_profile
from familiarity_report import group_table, table, write
from familiarity_scans import FAMILIAR, Scan, added_time, all_images, measure_all

from fedcross.infer.warm import WarmModels
from fedcross.model.bundle import open_bundle


def arguments(description: str) -> argparse.ArgumentParser:
    """Return a parser of a bundle, its configuration, further images, and the folder to write."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--foreign", action="append", default=[], help="KIND=FOLDER_OF_IMAGES")
    parser.add_argument("--out", type=Path, required=True)
    return parser


def foreign_folders(given: Iterable[str]) -> dict[str, Path]:
    """Return the folder of each kind of further images."""
    return {kind: Path(folder) for kind, folder in (each.split("=") for each in given)}


def main() -> int:
    """Measure, judge and write."""
    parser = arguments(__doc__)
    parser.add_argument("--properties", type=Path, help="JSON file to read, or to write")
    given = parser.parse_args()
    foreign = foreign_folders(given.foreign)
    with open_bundle(given.bundle) as bundle, WarmModels() as models:
        if given.properties and given.properties.is_file():
            scans = [Scan(**row) for row in json.loads(given.properties.read_text("utf-8"))]
        else:
            sources = all_images(bundle.manifest, given.config, foreign, CHANGES)
            scans = list(measure_all(bundle, sources, models))
        if given.properties:
            rows = [asdict(scan) for scan in scans]
            given.properties.write_text(json.dumps(rows), encoding="utf-8")
        known = [scan for scan in scans if scan.kind == FAMILIAR]
        manifest = with_profile(bundle.manifest, [s for s in known if s.part != "test"])
        shown = [scan for scan in scans if scan.part not in ("train", "validation")]
        judged = [(scan, judge(scan, manifest)) for scan in shown]
        text = table(judged, manifest, false_alarms(known, bundle.manifest), len(known))
        text += "\n" + group_table(shown, known, bundle.manifest)
        added = added_time(bundle, manifest, given.config)
        text += f"\nProcessor time added to a segmentation: {added:.1%}\n"
    write(judged, text, given.out)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
