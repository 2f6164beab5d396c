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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from fedcross.calibration.border_sample import BorderSample
from fedcross.calibration.calibrate import calibrated_models, with_calibration
from fedcross.calibration.curves import SiteCurves, StructureCurves
from fedcross.calibration.fit import fit_calibration, fit_temperature
from fedcross.calibration.labelled_cases import (
    LabelledCase,
    SegmentedCase,
    find_labelled_cases,
    segment_case,
)
from fedcross.calibration.site_curves import case_curves, measure_likelihood
from fedcross.contract.request import RequestOptions
from fedcross.infer.warm import WarmModels
from fedcross.model.bundle import Bundle, open_bundle
from fedcross.model.calibration import Calibration, StructureCalibration
from fedcross.runtime.files.atomic import write_atomically
from fedcross.training.config.configuration import TrainingConfig, load_config
from fedcross.uncertainty.agreement import MM3_PER_ML, dice
from fedcross.uncertainty.contours import MARGINS_MM
from fedcross.uncertainty.predicted_dice import DiceLine
from fedcross.uncertainty.risk_control import POOLINGS, Pooling
from fedcross.uncertainty.volume_interval import VolumeScale

BINS = 15
Record = dict[str, Any]


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


def calibration_error(cases: Sequence[Record], when: str) -> float:
    """Return the expected calibration error over all voxels of some cases."""
    voxels, correct, confidence = np.sum([case[when] for case in cases], axis=0)
    return float(np.abs(correct - confidence).sum() / voxels.sum())


def calibrate(cases: Sequence[Record], names: Sequence[str], pooling: Pooling) -> Calibration:
    """Return the calibration from the curves of some cases."""
    sites = []
    for site in dict.fromkeys(case["site"] for case in cases):
        own = [case for case in cases if case["site"] == site]
        structures = []
        for name in names:
            each = [
                StructureCurves.model_validate(structure["curves"])
                for case in own
                for structure in case["structures"]
                if structure["curves"]["name"] == name
            ]
            if each:
                total = each[0]
                for curves in each[1:]:
                    total = total + curves
                structures.append(total)
        sites.append(SiteCurves(cases=len(own), temperature=1.0, structures=tuple(structures)))
    return fit_calibration(sites, names, pooling)


def test(case: Record, calibration: StructureCalibration, name: str) -> Record:
    """Return how a calibrated bundle does on one case of a structure."""
    (found,) = (each for each in case["structures"] if each["curves"]["name"] == name)
    figures: Record = {}
    scale = VolumeScale.of(found["volume_ml"], found["member_volumes_ml"])
    if scale is not None and calibration.volume is not None:
        low, high = scale.interval(calibration.volume.below, calibration.volume.above)
        figures["covered"] = float(low <= found["true_ml"] <= high)
        figures["width"] = (high - low) / found["volume_ml"]
    members = found["member_volumes_ml"]
    figures["in range"] = float(min(members) <= found["true_ml"] <= max(members))
    if calibration.predicted_dice is not None and found["agreement"] is not None:
        line = DiceLine(**calibration.predicted_dice.model_dump())
        figures["dice error"] = (line.predict(found["agreement"]) - found["dice"]) ** 2
        figures["stated error"] = line.error**2
        figures["agreement error"] = (found["agreement"] - found["dice"]) ** 2
    for contour in calibration.contours:
        for side, margin in (("inner", contour.inner), ("outer", contour.outer)):
            if margin is not None:
                losses = found["curves"][side]["sums"]
                figures[f"{side} {contour.alpha:.0%}"] = losses[MARGINS_MM.index(margin)]
                figures[f"{side} {contour.alpha:.0%} mm"] = margin
    return figures


def splits(cases: Sequence[Record]) -> dict[str, list[tuple[list[Record], list[Record]]]]:
    """Return pairs of cases to calibrate and to test with."""
    validation = [case for case in cases if case["part"] == "validation"]
    sites = dict.fromkeys(case["site"] for case in cases)
    return {
        "same sites": [(validation, [case for case in cases if case["part"] == "test"])],
        "site left out": [
            (
                [case for case in validation if case["site"] != site],
                [case for case in cases if case["site"] == site],
            )
            for site in sites
        ],
    }


def report(name: str, found: Record, names: Sequence[str]) -> str:
    """Return the tables in Markdown; `name` is that of the measurement."""
    cases = list(found["cases"].values())
    tested = [case for case in cases if case["part"] == "test"]
    sites = sorted({case["site"] for case in cases})
    before, after = (calibration_error(tested, when) for when in ("before", "after"))
    lines = [
        f"# Calibration measured: {name}",
        "",
        f"{len(cases)} cases of {len(sites)} sites, {len(tested)} of them test cases. Temperature "
        f"{found['temperature']:.3g}: expected calibration error near the border {before:.3f} before, "
        f"{after:.3f} after.",
        "",
    ]
    for structure in names:
        lines += [f"**{structure}**", "", *structure_table(cases, names, structure), ""]
    return "\n".join(lines)


def structure_table(cases: Sequence[Record], names: Sequence[str], name: str) -> list[str]:
    """Return the rows of one structure."""
    columns = ("inner 5%", "inner 10%", "outer 5%", "outer 10%")
    heading = ["tested on", "way", "true volume in members' range", "90 % interval covers"]
    heading += ["band", "width / volume", "Dice error: agreement", "predicted", "stated"]
    heading += [f"{column}: risk (worst site), mm" for column in columns]
    rows = ["| " + " | ".join(heading) + " |", "|---" * len(heading) + "|"]
    for kind, pairs in splits(cases).items():
        for pooling in POOLINGS:
            results, sites = [], []
            for calibrating, testing in pairs:
                calibration = calibrate(calibrating, names, pooling).of(name)
                if calibration is not None:
                    results += [test(case, calibration, name) for case in testing]
                    sites += [case["site"] for case in testing]
            cells = [kind, pooling, share(results, "in range"), share(results, "covered")]
            cells += [band(results), mean(results, "width")]
            cells += [
                root(results, key) for key in ("agreement error", "dice error", "stated error")
            ]
            cells += [risk(results, sites, column) for column in columns]
            rows.append("| " + " | ".join(cells) + " |")
    return rows


def values(results: Sequence[Record], key: str) -> NDArray[np.float64]:
    """Return a figure of those cases that have it."""
    return np.array([each[key] for each in results if key in each], np.float64)


def share(results: Sequence[Record], key: str) -> str:
    """Return how many of how many cases have a figure of 1."""
    found = values(results, key)
    return f"{int(found.sum())} of {len(found)}" if len(found) else "-"


def band(results: Sequence[Record]) -> str:
    """Return the smallest number of covered cases that binomial chance allows at 90 %, one-sided 5 %."""
    count = len(values(results, "covered"))
    return f"at least {int(scipy.stats.binom.ppf(0.05, count, 0.9))}" if count else "-"


def mean(results: Sequence[Record], key: str) -> str:
    """Return the mean of a figure."""
    found = values(results, key)
    return f"{found.mean():.2f}" if len(found) else "-"


def root(results: Sequence[Record], key: str) -> str:
    """Return the root of the mean of a figure."""
    found = values(results, key)
    return f"{np.sqrt(found.mean()):.3f}" if len(found) else "-"


def risk(results: Sequence[Record], sites: Sequence[str], key: str) -> str:
    """Return the mean loss, that of the worst site, and the mean margin."""
    having = [(site, each) for site, each in zip(sites, results, strict=True) if key in each]
    if not having:
        return "-"
    by_site = [
        np.mean([each[key] for own, each in having if own == site])
        for site in dict.fromkeys(sites)
        if any(own == site for own, _ in having)
    ]
    margins = np.mean([each[f"{key} mm"] for _, each in having])
    overall = np.mean([each[key] for _, each in having])
    return f"{overall:.3f} ({max(by_site):.3f}), {margins:.1f}"


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
