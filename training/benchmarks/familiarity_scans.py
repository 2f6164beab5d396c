"""The scans of the benchmark of familiarity: familiar, changed and foreign ones."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import SimpleITK as sitk
from familiarity_changes import Change

from fedcross.calibration.labelled_cases import find_labelled_cases
from fedcross.contract.request import RequestOptions
from fedcross.errors import DataError
from fedcross.infer.compute import Result
from fedcross.infer.familiarity.assess import assess
from fedcross.infer.familiarity.measure import ImagesMeasured
from fedcross.infer.models import Models
from fedcross.infer.results.summary import Summary
from fedcross.infer.segment import Job, run_job
from fedcross.infer.warm import WarmModels
from fedcross.model.bundle import Bundle
from fedcross.model.manifest import Manifest
from fedcross.runtime.reporting import NullReporter
from fedcross.training.config.file import load_config
from fedcross.training.data.splits import PARTS
from fedcross.volumes.files.read import read_volume
from fedcross.volumes.prepare import prepare

FAMILIAR = "new case of the same sites"
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


@dataclass(frozen=True)
class Source:
    """An image to measure, and what kind of scan it is."""

    kind: str
    site: str
    part: str
    name: str
    image: sitk.Image


def measure(image: sitk.Image, bundle: Bundle, models: Models) -> dict[str, float]:
    """Segment an image and return the properties of the case."""
    job = Job((lambda: image,), bundle.path, RequestOptions(), properties=True)
    found = run_job(job, NullReporter(), models, lambda result, _: result.properties)
    if found is None:
        raise DataError("The properties were not measured.")
    return found


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
