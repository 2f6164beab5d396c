"""Measure what calibration is worth: on test cases of the same sites, and of a site left out.

    python training/benchmarks/calibration.py BUNDLE CONFIG --name organ --out FOLDER

The temperature is fitted on the validation cases of all sites. Then every validation and test case is
segmented once with it. From these cases:

- *same sites*: calibrated on the validation cases, tested on the test cases.
- *site left out*: for each site, calibrated on the validation cases of the others, tested on all cases
  of that site.

The expected calibration error is that of the most probable class at a sample of voxels within 10 mm of
a drawn border, on the networks' grid, in 15 bins. The figures of the cases are kept in a file, so that
an interrupted measurement continues.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from calibration_report import Record, report
from numpy.typing import NDArray

from fedcross.calibration.border_sample import BorderSample
from fedcross.calibration.calibrate import calibrated_models, with_calibration
from fedcross.calibration.curves import StructureCurves
from fedcross.calibration.fit import fit_temperature
from fedcross.calibration.labelled_cases import LabelledCase, find_labelled_cases
from fedcross.calibration.segmented_cases import SegmentedCase, segment_case
from fedcross.calibration.site_curves import case_curves, measure_likelihood
from fedcross.contract.request import RequestOptions
from fedcross.infer.warm import WarmModels
from fedcross.model.bundle import Bundle, open_bundle
from fedcross.model.calibration import Calibration
from fedcross.runtime.files.atomic import write_atomically
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.file import load_config
from fedcross.uncertainty.agreement import MM3_PER_ML, dice

BINS = 15


def collect(bundle: Bundle, config: TrainingConfig, sites: list[str] | None, path: Path) -> Record:
    """Segment the cases that are not in the file yet, and return all."""
    options = RequestOptions()
    found: Record = json.loads(path.read_text()) if path.is_file() else {"cases": {}}
    by_part = {
        part: find_labelled_cases(config, bundle.manifest, parts=[part], sites=sites)
        for part in ("validation", "test")
    }
    if "temperature" not in found:
        with WarmModels() as models:
            curves = [
                measure_likelihood(
                    [case for case in by_part["validation"] if case.site == site],
                    bundle,
                    options=options,
                    models=models,
                    progress=lambda: print(".", end="", flush=True),
                )
                for site in dict.fromkeys(case.site for case in by_part["validation"])
            ]
        found["temperature"] = fit_temperature(curves, 1.0)
        save(found, path)
    calibration = Calibration(temperature=found["temperature"])
    with WarmModels() as warm:
        models = calibrated_models(warm, calibration)
        for case in (*by_part["validation"], *by_part["test"]):
            if f"{case.site}/{case.name}" not in found["cases"]:
                found["cases"][f"{case.site}/{case.name}"] = measure(
                    case, with_calibration(bundle, calibration), models, options
                )
                save(found, path)
                print(case.site, case.name, flush=True)
    return found


def save(found: Record, path: Path) -> None:
    """Write what was measured so far."""
    write_atomically(path, json.dumps(found).encode())


def measure(case: LabelledCase, bundle: Bundle, models: Any, options: RequestOptions) -> Record:
    """Segment a case and return its figures."""
    manifest, samples = bundle.manifest, list[BorderSample]()

    def observe(truth: NDArray[np.uint8]) -> BorderSample:
        samples.append(BorderSample(truth, len(manifest.members), manifest.architecture.classes))
        return samples[-1]

    def finish(segmented: SegmentedCase) -> list[Record]:
        return [structure_record(segmented, curves) for curves in case_curves(segmented)]

    structures = segment_case(
        case, bundle, finish, options=options, measures=(), observe=observe, models=models
    )
    temperature = manifest.calibration.temperature
    return {
        "site": case.site,
        "part": case.part,
        "structures": structures,
        "before": confidence_bins(samples[-1], temperature),
        "after": confidence_bins(samples[-1], 1.0),
    }


def structure_record(case: SegmentedCase, curves: StructureCurves) -> Record:
    """Return the figures of one structure of a case."""
    summary = next(each for each in case.summary.structures if each.name == curves.name)
    truth, found = case.truth == summary.label, case.result.labels == summary.label
    return {
        "curves": curves.model_dump(mode="json"),
        "agreement": summary.mean_pairwise_dice,
        "dice": dice(truth, found),
        "volume_ml": summary.volume_ml,
        "member_volumes_ml": summary.member_volumes_ml,
        "true_ml": int(truth.sum()) * case.result.grid.voxel_volume_mm3 / MM3_PER_ML,
    }


def confidence_bins(sample: BorderSample, exponent: float) -> list[list[float]]:
    """Return voxels, correct voxels and sum of confidences in each bin; p^exponent for each member."""
    powers = np.power(sample.probabilities.astype(np.float64), exponent)
    mean = (powers / powers.sum(axis=1, keepdims=True)).mean(axis=0)
    confidence, correct = mean.max(axis=0), mean.argmax(axis=0) == sample.labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    weights = (None, correct, confidence)
    return [np.bincount(bins, each, minlength=BINS).astype(float).tolist() for each in weights]


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("config", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cases", type=Path, help="Folder for the figures of the cases.")
    parser.add_argument("--sites", help="Sites, separated by commas; by default all.")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    path = (options.cases or options.out) / f"{options.name}-cases.json"
    sites = options.sites.split(",") if options.sites else None
    with open_bundle(options.bundle) as bundle:
        found = collect(bundle, load_config(options.config), sites, path)
        names = [structure.name for structure in bundle.manifest.structures]
    text = report(options.name, found, names)
    (options.out / f"{options.name}.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
