"""What came out of a command, and the next command: the last lines that a command prints."""

import shlex
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from fedcross.contract.plain_text import counted, plain_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fedcross.model.bundle import Bundle
    from fedcross.model.calibration import Calibration
    from fedcross.study.evaluate.evaluation import Evaluation

MB = 1e6


def next_step(*words: object, why: str = "") -> str:
    """Return the line that names the next command, quoted for a shell; `why` stands before it."""
    first = f"Next, {why}" if why else "Next"
    return f"{first}: fedcross {shlex.join(map(str, words))}"


def train_lines(run: Path) -> list[str]:
    """Return which round of a finished run is kept, its test Dice, and the next command."""
    from fedcross.training.run.folder import TEST, RunFolder

    folder = RunFolder(run)
    config, test = folder.configuration(), folder.read(TEST)
    kept = (
        f"Trained: {run}. Kept: round {test['round']} of {config.method.rounds} "
        f"(training.keep = {config.training.keep})."
    )
    return [kept, _test_line(test), next_step("export", run, "BUNDLE")]


def _test_line(test: "Mapping[str, Any]") -> str:
    if test["mean"] is None:
        return "There are no test cases, so there is no test Dice."
    sites = {
        plain_text(name): fmean(figures["ensemble"].values())
        for name, figures in test["sites"].items()
        if figures["ensemble"]
    }
    cases = sum(len(figures["cases"]) for figures in test["sites"].values())
    line = f"Test Dice {test['mean']['ensemble']:.3f}, mean of {counted(cases, 'case')}"
    if len(sites) < 2:
        return f"{line}."
    lowest = min(sites, key=lambda name: sites[name])
    return f"{line} of {len(sites)} sites; lowest at {lowest}, {sites[lowest]:.3f}."


def export_lines(bundle: "Bundle", kit: Path | None = None) -> list[str]:
    """Return what a new bundle holds, where it is, and the next commands.

    Parameters
    ----------
    bundle
        The bundle.
    kit
        The coordinator's kit if the bundle is of a run across hospitals: the hospitals calibrate it.
    """
    from fedcross.training.run.doubts import doubt_bundle
    from fedcross.training.run.export import TEST_DICE

    provenance, path = bundle.manifest.provenance, bundle.path
    dice = provenance.validation.get(TEST_DICE)
    tested = "" if dice is None else f" Test Dice {dice:.3f}."
    doubt = doubt_bundle(dice)
    members = counted(len(bundle.manifest.members), "member")
    return [
        f"Exported {members}: {path} ({_size(path)}). {provenance.source}{tested}",
        *([f"Warning: {doubt}"] if doubt else []),
        next_step("segment", "--bundle", path, "--image", "VOLUME", "--out", "RESULT"),
        next_step(
            *(
                ("calibrate", path, "--data", "CONFIG")
                if kit is None
                else ("federation", "calibrate", path, "CONFIG", "--kit", kit)
            ),
            *("--out", "CALIBRATED"),
            why="with labelled cases that trained no member",
        ),
    ]


def distill_lines(bundle: "Bundle", data: Path) -> list[str]:
    """Return what a student was distilled from, where it is, and the next command."""
    source = bundle.manifest.provenance.source
    return [
        f"Distilled: {bundle.path} ({_size(bundle.path)}). {source}",
        next_step("evaluate", bundle.path, "--data", data, "--out", "EVALUATION"),
    ]


def _size(folder: Path) -> str:
    """Return the size of the files in a folder."""
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return f"{size / MB:.1f} MB"


def calibrate_lines(calibration: "Calibration", out: Path, data: Path) -> list[str]:
    """Return what a bundle was calibrated with and for, and the next command."""
    from fedcross.model.calibration_text import describe_structure

    cases, sites = counted(calibration.cases, "case"), counted(calibration.sites, "site")
    return [
        f"Calibrated with {cases} of {sites}: {out}",
        *(
            f"{plain_text(each.name)}: {describe_structure(each)}"
            for each in calibration.structures
        ),
        next_step(
            *("profile", out, "--data", data, "--out", "PROFILED"),
            why="so that unfamiliar scans are noticed",
        ),
    ]


def evaluate_lines(evaluation: "Evaluation", bundle: Path, page: Path) -> list[str]:
    """Return the Dice of each structure with the lowest site, the page, and the next command."""
    lines = []
    for name, each in evaluation.structures.items():
        mean = each.predictors["ensemble"]
        line = f"{plain_text(name)}: Dice {mean.dice:.3f}, mean of {counted(mean.cases, 'case')}"
        if len(each.sites) > 1:
            lowest = min(each.sites, key=lambda site: each.sites[site].dice)
            line += f"; lowest at {plain_text(lowest)}, {each.sites[lowest].dice:.3f}"
        lines.append(f"{line}.")
    lines.append(f"Evaluated: {page}")
    is_calibrated = any(
        "predicted Dice" in each.rankings for each in evaluation.structures.values()
    )
    if not is_calibrated and evaluation.members > 1:
        lines.append(
            next_step(
                *("calibrate", bundle, "--data", "CONFIG", "--out", "CALIBRATED"),
                why="because the bundle predicts no Dice",
            )
        )
    return lines
