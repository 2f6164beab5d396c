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
import csv
import json
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import SimpleITK as sitk
from familiarity_changes import CHANGES, Change

from fedcross.calibration.labelled_cases import find_labelled_cases
from fedcross.calibration.profile import MeasuredCase, profile_of
from fedcross.contract.request import RequestOptions
from fedcross.errors import DataError
from fedcross.infer.compute import Result
from fedcross.infer.familiarity.assess import Familiarity, assess
from fedcross.infer.familiarity.measure import ImagesMeasured
from fedcross.infer.familiarity.properties import KINDS, split_name
from fedcross.infer.models import Models
from fedcross.infer.results.summary import Summary
from fedcross.infer.segment import Job, run_job
from fedcross.infer.warm import WarmModels
from fedcross.model.bundle import Bundle, open_bundle
from fedcross.model.manifest import Manifest
from fedcross.runtime.reporting import NullReporter
from fedcross.study.compare.figures import box_plots
from fedcross.training.config.file import load_config
from fedcross.training.data.splits import PARTS
from fedcross.uncertainty.discrimination import auroc
from fedcross.volumes.files.read import read_volume
from fedcross.volumes.prepare import prepare

FAMILIAR = "new case of the same sites"
HALVES = 50
"""Random halves of the familiar cases."""
VALUE = re.compile(r" -?[\d.e+-]+( (mm|mL|%|standard deviations))?$")
"""The value at the end of a reason."""
TIMED = 5
"""Test cases whose segmentation is timed."""


@dataclass(frozen=True)
class Scan:
    """The properties of one scan: a case of the configuration, a changed one, or a foreign one."""

    kind: str
    site: str
    part: str
    name: str
    properties: dict[str, float]


def measure(image: sitk.Image, bundle: Bundle, models: Models) -> dict[str, float]:
    """Segment an image and return the properties of the case."""
    job = Job((lambda: image,), bundle.path, RequestOptions(), properties=True)
    found = run_job(job, NullReporter(), models, lambda result, _: result.properties)
    if found is None:
        raise DataError("The properties were not measured.")
    return found


@dataclass(frozen=True)
class Source:
    """An image to measure, and what kind of scan it is."""

    kind: str
    site: str
    part: str
    name: str
    image: sitk.Image


def all_images(
    manifest: Manifest, config: Path, foreign: Mapping[str, Path], changes: Mapping[str, Change]
) -> Iterator[Source]:
    """Yield every familiar, changed and foreign image."""
    cases = find_labelled_cases(load_config(config), manifest, parts=PARTS)
    for seed, case in enumerate(cases):
        image = read_volume(case.files.image)
        where = case.site, case.part, case.name
        yield Source(FAMILIAR, *where, image)
        for kind, change in changes.items() if case.part == "test" else ():
            yield Source(kind, *where, change(image, np.random.default_rng(seed)))
    for kind, folder in foreign.items():
        for path in sorted(folder.glob("*.nii*")):
            yield Source(kind, folder.parent.name, "foreign", path.name, read_volume(path))


def measure_all(bundle: Bundle, sources: Iterable[Source], models: Models) -> Iterator[Scan]:
    """Yield the properties of every image."""
    for each in sources:
        found = measure(each.image, bundle, models)
        yield Scan(each.kind, each.site, each.part, each.name, found)


def with_profile(manifest: Manifest, scans: Sequence[Scan]) -> Manifest:
    """Return the manifest with the profile of some scans."""
    profile = profile_of([MeasuredCase(s.site, s.part, s.properties) for s in scans])
    return manifest.model_copy(update={"profile": profile})


def judge(scan: Scan, manifest: Manifest) -> Familiarity:
    """Return how familiar a scan is."""
    found = assess(scan.properties, manifest)
    if found is None:
        raise DataError("The profile has a property that was not measured.")
    return found


def false_alarms(familiar: Sequence[Scan], manifest: Manifest) -> float:
    """Return the share above the limit over `HALVES` random halves of every site's cases."""
    rng, alarms = np.random.default_rng(0), []
    for _ in range(HALVES):
        first, second = [], []
        for site in dict.fromkeys(scan.site for scan in familiar):
            own = [scan for scan in familiar if scan.site == site]
            order = rng.permutation(len(own))
            first += [own[index] for index in order[: len(own) // 2]]
            second += [own[index] for index in order[len(own) // 2 :]]
        half = with_profile(manifest, first)
        alarms += [judge(scan, half).is_unusual for scan in second]
    return float(np.mean(alarms))


def added_time(bundle: Bundle, profiled: Manifest, config: Path) -> float:
    """Return the processor time of measuring and judging as a share of that of a segmentation."""
    cases = find_labelled_cases(load_config(config), bundle.manifest)[:TIMED]
    ratios = []
    with TemporaryDirectory() as folder, WarmModels() as models:
        for case in (cases[0], *cases):  # the first one compiles the members and is not counted
            image = read_volume(case.files.image)
            prepared = prepare(image, bundle.manifest.preprocessing)
            began = time.process_time()
            measured = ImagesMeasured.of(prepared)
            ready = time.process_time()

            def judge_again(
                result: Result, _: Summary, measured: ImagesMeasured = measured
            ) -> tuple[float, float]:
                done = time.process_time()
                grid = result.prepared.grid
                assess(measured.complete(result.outcome, grid, profiled), profiled)
                return done, time.process_time() - done

            job = Job(
                (lambda image=image: image,), bundle.path, RequestOptions(), Path(folder) / "out"
            )
            done, judging = run_job(job, NullReporter(), models, judge_again)
            ratios.append((ready - began + judging) / (done - ready))
    return median(ratios[1:])


def first_reason(found: Sequence[Familiarity]) -> str:
    """Return the most frequent first reason, without its figures."""
    first = [each.reasons[0].split(";")[0] for each in found if each.reasons]
    names = [VALUE.sub("", text) for text in first]
    return max(names, key=names.count) if names else ""


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


def table(
    judged: Sequence[tuple[Scan, Familiarity]], manifest: Manifest, halves: float, known: int
) -> str:
    """Return the table and the facts as Markdown."""
    areas = areas_by_kind([(scan.kind, found.score) for scan, found in judged])
    lines = [
        f"# Unfamiliar scans: {manifest.name}",
        "",
        "| scans | n | AUROC | above the limit | lowest score / limit | most frequent first reason |",
        "|---|---|---|---|---|---|",
    ]
    for kind in dict.fromkeys(scan.kind for scan, _ in judged):
        found = [each for scan, each in judged if scan.kind == kind]
        area = "" if kind == FAMILIAR else f"{areas[kind]:.3f}"
        lines.append(
            f"| {kind} | {len(found)} | {area} "
            f"| {np.mean([each.is_unusual for each in found]):.0%} "
            f"| {min(each.score / each.limit for each in found):.2f} | {first_reason(found)} |"
        )
    profile = manifest.profile
    assert profile is not None  # `with_profile` set it
    lines += [
        "",
        f"Profile: {sum(profile.counts)} cases of {len(profile.counts)} sites; the limit is from "
        f"{profile.score_count} scores ({profile.scored}). Nominal false-alarm rate "
        f"{profile.false_alarm_rate:.0%}; over {HALVES} random halves of all {known} cases of the "
        f"sites: {halves:.1%}.",
    ]
    return "\n".join(lines) + "\n"


def areas_by_kind(scores: Sequence[tuple[str, float]]) -> dict[str, float]:
    """Return the AUROC of each kind of scan against the familiar ones, from (kind, score)."""
    usual = [score for kind, score in scores if kind == FAMILIAR]
    areas = {}
    for one in dict.fromkeys(kind for kind, _ in scores if kind != FAMILIAR):
        both = np.array([*usual, *(score for kind, score in scores if kind == one)])
        areas[one] = auroc(both, np.arange(len(both)) >= len(usual)) or 0.0
    return areas


def group_table(shown: Sequence[Scan], known: Sequence[Scan], manifest: Manifest) -> str:
    """Return the AUROC of each kind of scan for each group of properties alone, as Markdown."""
    groups = list(dict.fromkeys(kind.group for kind in KINDS))
    columns = []
    for group in groups:
        first = [only(scan, group) for scan in known if scan.part != "test"]
        profiled = with_profile(manifest, first)
        columns.append(
            areas_by_kind([(s.kind, judge(only(s, group), profiled).score) for s in shown])
        )
    lines = [f"| AUROC of one group | {' | '.join(groups)} |", "|---" * (len(groups) + 1) + "|"]
    lines += [
        f"| {kind} | {' | '.join(f'{column[kind]:.3f}' for column in columns)} |"
        for kind in columns[0]
    ]
    return "\n".join(lines) + "\n"


def only(scan: Scan, group: str) -> Scan:
    """Return a scan with the properties of one group."""
    kept = {}
    for name, value in scan.properties.items():
        found = split_name(name)
        if found is not None and found[0].group == group:
            kept[name] = value
    return replace(scan, properties=kept)


def write(judged: Sequence[tuple[Scan, Familiarity]], text: str, folder: Path) -> None:
    """Write the table, the scores and the figure."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.md").write_text(text, encoding="utf-8")
    with (folder / "scores.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["scans", "site", "case", "score", "limit", "reasons"])
        for scan, found in judged:
            numbers = f"{found.score:.4g}", f"{found.limit:.4g}"
            rows.writerow([scan.kind, scan.site, scan.name, *numbers, " | ".join(found.reasons)])
    ratios: dict[str, dict[int, float]] = {}
    for index, (scan, found) in enumerate(judged):
        ratios.setdefault(scan.kind, {})[index] = float(np.log10(found.score / found.limit))
    figure = box_plots(ratios, "log10 of score / limit")
    (folder / "scores.svg").write_text(figure, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
