"""The tables of `calibration.py`: what a calibration keeps of its promises on cases it has not seen."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from fedcross.calibration.curves import SiteCurves, StructureCurves
from fedcross.calibration.fit import fit_calibration
from fedcross.model.calibration import Calibration, StructureCalibration
from fedcross.uncertainty.contours import MARGINS_MM
from fedcross.uncertainty.predicted_dice import DiceLine
from fedcross.uncertainty.risk_control import POOLINGS, Pooling
from fedcross.uncertainty.volume_interval import VolumeScale

Record = dict[str, Any]


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
