"""Everything on synthetic hospitals, in a few minutes on a laptop.

It writes a federation to disk, trains FedCrossEns on it, exports a bundle, segments a patient of a
hospital that took no part in the training, builds the Slicer scene, and measures the result.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import SimpleITK as sitk
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from fedcross.contract.files import SEGMENTATION, UNCERTAINTY
from fedcross.contract.request import SegmentRequest
from fedcross.errors import FedCrossError
from fedcross.federate.local.engine import run_local
from fedcross.infer.results.summary import Summary
from fedcross.infer.segment import segment
from fedcross.runtime.files.atomic import write_atomically
from fedcross.runtime.files.folders import make_folder
from fedcross.runtime.reporting import Reporter
from fedcross.training.config.file import load_config
from fedcross.training.data.phantom.styles import UNSEEN_STYLE
from fedcross.training.data.phantom.volumes import make_case, write_synthetic_federation
from fedcross.training.run.export import export_run
from fedcross.uncertainty.agreement import dice
from fedcross.uncertainty.discrimination import auroc
from fedcross.volumes.files.write import write_volume

SEED = 2023
CASES_PER_SITE = 8
NEAR_MM = 6.0


@dataclass(frozen=True)
class HeldOut:
    """How good the segmentation of the patient is whose hospital took no part in the training.

    Attributes
    ----------
    dice
        Dice of the ensemble's segmentation and the true label.
    auroc
        Area under the ROC curve of the uncertainty map as a detector of wrong voxels, over the whole
        volume; None if no voxel is wrong.
    auroc_near
        The same over the voxels within `NEAR_MM` of the true border only.
    wrong_over_right
        Mean uncertainty at wrong voxels divided by that at right voxels near the border.
    """

    dice: float
    auroc: float | None
    auroc_near: float | None
    wrong_over_right: float


@dataclass(frozen=True)
class DemoOutcome:
    """The demo's folder and results; `test` is the content of the run's ``test.json``."""

    out: Path
    test: dict[str, Any]
    held_out: HeldOut
    summary: Summary

    def print(self, console: Console) -> None:
        """Print the tables and the folders."""
        console.print(_dice_table(self))
        console.print(_volume_table(self))
        console.print(_uncertainty_lines(self.held_out), markup=False)
        console.print(_where(self.out), markup=False)


def configuration() -> str:
    """Return the demo's configuration, TOML."""
    return resources.files("fedcross").joinpath("demo.toml").read_text(encoding="utf-8")


def run_demo(
    out: Path,
    reporter: Reporter,
    *,
    scene_script: Path | None = None,
    config: str | None = None,
) -> DemoOutcome:
    """Run every step; the results of an earlier demo in `out` are replaced.

    Parameters
    ----------
    out
        Folder for everything: federation, run, bundle, heldout, result and scene.
    reporter
        Receives stages and progress.
    scene_script
        Script that builds the Slicer scene from the result; None builds none.
    config
        Training configuration (TOML) for the same hospitals; None is `configuration`.
    """
    for part in ("federation", "run", "bundle", "heldout", "result", "scene"):
        shutil.rmtree(out / part, ignore_errors=True)
    config_path = _write_federation(out, config or configuration(), reporter)
    run_local(load_config(config_path), out / "run", resume=False, device="cpu", reporter=reporter)
    reporter.stage("export", "Exporting the bundle")
    export_run(out / "run", out / "bundle")
    summary = segment(
        SegmentRequest(
            bundle=out / "bundle", image=out / "heldout" / "image.nii.gz", out=out / "result"
        ),
        reporter,
    )
    if scene_script is not None:
        reporter.stage("scene", "Building the Slicer scene and its pictures")
        _build_scene(out, scene_script)
    return DemoOutcome(
        out=out,
        test=json.loads((out / "run" / "test.json").read_text(encoding="utf-8")),
        held_out=_judge(out),
        summary=summary,
    )


def _write_federation(out: Path, config: str, reporter: Reporter) -> Path:
    """Write four hospitals for the training, and one patient of a fifth; return the configuration."""
    reporter.stage("federation", "Writing four synthetic hospitals")
    write_synthetic_federation(
        out / "federation",
        cases_per_site=CASES_PER_SITE,
        seed=SEED,
        progress=lambda done, total: reporter.progress(done, total, "federation"),
    )
    image, label = make_case(UNSEEN_STYLE, np.random.default_rng([SEED, 99]))
    make_folder(out / "heldout")
    write_volume(image, out / "heldout" / "image.nii.gz")
    write_volume(label, out / "heldout" / "label.nii.gz")
    path = out / "federation" / "demo.toml"
    write_atomically(path, config.encode("utf-8"))
    return path


def _build_scene(out: Path, script: Path) -> None:
    """Run the scene script in another process: a crash of the rendering does not end the demo."""
    command = [sys.executable, str(script), "--image", str(out / "heldout" / "image.nii.gz")]
    command += ["--result", str(out / "result"), "--bundle", str(out / "bundle")]
    finished = subprocess.run(
        [*command, "--out", str(out / "scene")], capture_output=True, text=True, check=False
    )
    if finished.returncode != 0:
        last = (finished.stderr.strip().splitlines() or ["without a message"])[-1]
        raise FedCrossError(
            f"The Slicer scene could not be built (exit code {finished.returncode}): {last}"
        )


def _judge(out: Path) -> HeldOut:
    """Compare the result with the true label, on the image's own grid."""
    truth_image = sitk.ReadImage(str(out / "heldout" / "label.nii.gz"))
    truth = sitk.GetArrayFromImage(truth_image) == 1
    found = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "result" / SEGMENTATION))) == 1
    heat = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "result" / UNCERTAINTY)))
    wrong = truth != found
    spacing = truth_image.GetSpacing()[::-1]
    to_border = np.where(
        truth,
        ndimage.distance_transform_edt(truth, sampling=spacing),
        ndimage.distance_transform_edt(~truth, sampling=spacing),
    )
    near = to_border <= NEAR_MM
    return HeldOut(
        dice=dice(truth, found),
        auroc=auroc(heat, wrong),
        auroc_near=auroc(heat[near], wrong[near]),
        wrong_over_right=float(heat[near & wrong].mean() / max(heat[near & ~wrong].mean(), 1e-9)),
    )


def _dice_table(outcome: DemoOutcome) -> Table:
    table = Table(title="Dice on the test cases", title_justify="left")
    for heading in ("hospital", "cases", "members", "ensemble"):
        table.add_column(heading, justify="left" if heading == "hospital" else "right")
    for site, figures in outcome.test["sites"].items():
        members = [fmean(member.values()) for member in figures["members"]]
        table.add_row(
            site,
            str(len(figures["cases"])),
            f"{min(members):.3f}..{max(members):.3f}",
            f"{fmean(figures['ensemble'].values()):.3f}",
        )
    overall = outcome.test["mean"]
    table.add_section()
    table.add_row(
        "all",
        str(sum(len(figures["cases"]) for figures in outcome.test["sites"].values())),
        f"{min(overall['members']):.3f}..{max(overall['members']):.3f}",
        f"{overall['ensemble']:.3f}",
    )
    return table


def _volume_table(outcome: DemoOutcome) -> Table:
    table = Table(
        title="The patient of a hospital that took no part in the training", title_justify="left"
    )
    for heading in ("structure", "volume", "members' mean", "min..max", "agreement"):
        table.add_column(heading, justify="left" if heading == "structure" else "right")
    for structure in outcome.summary.structures:
        agreed = structure.mean_pairwise_dice
        table.add_row(
            structure.name,
            f"{structure.volume_ml:.1f} mL",
            f"{structure.mean_ml:.1f} mL",
            f"{structure.min_ml:.1f}..{structure.max_ml:.1f} mL",
            "-" if agreed is None else f"Dice {agreed:.3f}",
        )
    return table


def _uncertainty_lines(held_out: HeldOut) -> str:
    def text(area: float | None) -> str:
        return "undefined (no voxel is wrong)" if area is None else f"{area:.3f}"

    return (
        f"Dice of the ensemble on this patient: {held_out.dice:.3f}\n"
        f"AUROC of the uncertainty against wrong voxels: {text(held_out.auroc)} "
        f"(within {NEAR_MM:g} mm of the border: {text(held_out.auroc_near)})\n"
        f"Uncertainty at wrong voxels: {held_out.wrong_over_right:.1f} times that at right ones "
        f"within {NEAR_MM:g} mm of the border"
    )


def _where(out: Path) -> str:
    parts = {
        "federation": "the hospitals' volumes, and demo.toml",
        "run": "the training run",
        "bundle": "the ensemble, for fedcross segment --bundle",
        "heldout": "image.nii.gz and label.nii.gz",
        "result": "segmentation, uncertainty, summary",
        "scene": "pictures, and scene.mrb for 3D Slicer",
    }
    lines = [f"  {out / part}: {what}" for part, what in parts.items() if (out / part).exists()]
    return "\n".join(["Folders:", *lines])
