"""The commands that `faults.py` tries, on a federation and an ensemble of seconds."""

import csv
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk

import fedcross
from dicom_files import make_volume, write_series
from faults import Case
from fedcross.contract.files import SUMMARY
from fedcross.contract.request import RequestOptions
from fedcross.model.bundle import verify_bundle
from fedcross.study.evaluate.checkpoint import CASES as FINISHED_CASES
from fedcross.study.evaluate.run import PAGE, RECORD, REVIEW, STRUCTURES, VOXELS
from fedcross.training.run.folder import CONFIG, RunFolder
from fedcross.volumes.files.read import read_volume
from tiny_federation import write_federation


def _make_run(folder: Path) -> None:
    fedcross.train(write_federation(folder / "data"), folder / "run", device="cpu")


def _make_bundle(folder: Path) -> None:
    _make_run(folder)
    fedcross.export(folder / "run", folder / "bundle")


def _make_zip(folder: Path) -> None:
    from fedcross.model.bundle_zip import pack_bundle

    _make_bundle(folder)
    pack_bundle(folder / "bundle", folder / "bundle.zip")


def _make_result(folder: Path) -> None:
    _make_bundle(folder)
    image = next((folder / "data" / "s0" / "images").iterdir())
    sitk.WriteImage(sitk.ReadImage(str(image)), str(folder / "image.nii.gz"))
    fedcross.segment(folder / "image.nii.gz", folder / "bundle", out=folder / "out", device="cpu")


def _make_dicom_result(folder: Path) -> None:
    _make_bundle(folder)
    write_series(folder / "series", make_volume((8, 16, 16)))
    fedcross.segment(
        folder / "series", folder / "bundle", out=folder / "out", device="cpu", dicom=True
    )


def _make_half_a_run(folder: Path) -> None:
    path = write_federation(folder / "data", rounds=1)
    fedcross.train(path, folder / "run", device="cpu")
    text = path.read_text(encoding="utf-8").replace("rounds = 1", "rounds = 2")
    path.write_text(text, encoding="utf-8")


def _bundle_is_whole(folder: Path, code: int) -> None:
    verify_bundle(folder / "bundle")


def _zip_is_whole(folder: Path, code: int) -> None:
    verify_bundle(folder / "bundle.zip")


def _result_is_whole(folder: Path, code: int) -> None:
    """A folder with a summary is complete; one without is no result."""
    out = folder / "out"
    if code == 0:
        assert (out / SUMMARY).is_file()
    if not (out / SUMMARY).is_file():
        return
    summary = json.loads((out / SUMMARY).read_text(encoding="utf-8"))
    size = tuple(summary["geometry"]["size"])
    names = [name for name in summary["files"].values() if name.endswith(".nrrd")]
    assert names
    for name in names:
        array = sitk.GetArrayFromImage(sitk.ReadImage(str(out / name)))
        assert array.shape[::-1][-3:] == size, name
        assert np.isfinite(array).all(), name
    for name in summary["files"].values():
        if name.endswith(".dcm"):
            made = pydicom.dcmread(out / name)
            data = made.get("FloatPixelData") or made.PixelData
            voxels = made.NumberOfFrames * made.Rows * made.Columns
            size = math.ceil(voxels * made.BitsAllocated / 8)
            assert len(data) in (size, size + 1), name  # DICOM fills up to an even number


def _run_is_sound(folder: Path, code: int) -> None:
    """A run is unfinished or finished, and every checkpoint in it can be loaded."""
    if not (folder / "run" / CONFIG).is_file():
        assert code != 0
        return
    run = RunFolder(folder / "run")
    last = run.checkpoints.latest()
    if code == 0:
        assert last is not None
        assert last.rounds_done == 2


def _make_result_of_evaluation(folder: Path) -> None:
    _make_bundle(folder)
    options = RequestOptions(
        device="cpu", backend="torch"
    )  # OpenVINO's threads do not survive a fork
    config, out = folder / "data" / "config.toml", folder / "evaluation"
    fedcross.evaluate(folder / "bundle", config, out, options=options)
    shutil.rmtree(folder / "evaluation" / FINISHED_CASES)


def _make_copy(folder: Path) -> None:
    _make_bundle(folder)
    shutil.copytree(folder / "bundle", folder / "copy")


def _copy_is_whole(folder: Path, code: int) -> None:
    verify_bundle(folder / "copy")


def _evaluation_is_whole(folder: Path, code: int) -> None:
    """A folder with a record has all files, which are of one evaluation."""
    out = folder / "evaluation"
    if code == 0:
        assert (out / RECORD).is_file()
    if not (out / RECORD).is_file():
        return
    measure = json.loads((out / RECORD).read_text(encoding="utf-8"))["measure"]
    for name in (STRUCTURES, VOXELS, REVIEW):
        with (out / name).open(encoding="utf-8", newline="") as file:
            assert list(csv.DictReader(file)), name
    assert measure in (out / VOXELS).read_text(encoding="utf-8")
    assert (out / PAGE).read_text(encoding="utf-8").rstrip().endswith("</html>")


def _train_again(folder: Path) -> list[str]:
    arguments = ["train", "data/config.toml", "--out", "run", "--device", "cpu"]
    has_begun = (folder / "run" / CONFIG).is_file()
    return [*arguments, "--resume"] if has_begun else arguments


def _phantom_is_whole(folder: Path, code: int) -> None:
    if code == 0:
        fedcross.load_config(folder / "hospitals" / "phantom.toml")
        images = list((folder / "hospitals").rglob("*.nii.gz"))
        assert images
        for image in images:
            read_volume(image)
    else:
        assert not (folder / "hospitals").exists()


CASES = (
    Case("export", _make_bundle, ("export", "run", "bundle"), _bundle_is_whole),
    Case("pack", _make_zip, ("bundle", "pack", "bundle", "bundle.zip"), _zip_is_whole),
    Case(
        "segment",
        _make_result,
        (
            *("segment", "--bundle", "bundle", "--image", "image.nii.gz", "--out", "out"),
            *("--for-viewer", "--backend", "torch", "--device", "cpu"),
        ),
        _result_is_whole,
    ),
    Case(
        "dicom",
        _make_dicom_result,
        (
            *("segment", "--bundle", "bundle", "--image", "series", "--out", "out"),
            *("--dicom", "--backend", "torch", "--device", "cpu"),
        ),
        _result_is_whole,
    ),
    Case(
        "train",
        lambda folder: [write_federation(folder / "data"), None][1],
        ("train", "data/config.toml", "--out", "run", "--device", "cpu"),
        _run_is_sound,
        _train_again,
    ),
    Case(
        "resume",
        _make_half_a_run,
        ("train", "data/config.toml", "--out", "run", "--device", "cpu", "--resume"),
        _run_is_sound,
        _train_again,
    ),
    Case(
        "evaluate",
        _make_result_of_evaluation,
        (
            *("evaluate", "bundle", "--data", "data/config.toml", "--out", "evaluation"),
            *("--backend", "torch", "--device", "cpu"),
        ),
        _evaluation_is_whole,
    ),
    Case(
        "calibrate",
        _make_copy,
        (
            *("calibrate", "bundle", "--data", "data/config.toml", "--out", "copy"),
            *("--backend", "torch", "--device", "cpu"),
        ),
        _copy_is_whole,
    ),
    Case(
        "phantom",
        lambda folder: None,
        ("data", "phantom", "hospitals", "--sites", "1", "--cases", "3"),
        _phantom_is_whole,
    ),
)
