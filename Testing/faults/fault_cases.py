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
from fedcross.federate.kits.add_site import add_site
from fedcross.federate.kits.certificate_request import make_request, read_request
from fedcross.federate.kits.certificates import load_key
from fedcross.federate.kits.federation_folder import coordinator_kits, read_federation
from fedcross.federate.kits.provision import Federation, init_federation
from fedcross.federate.kits.startup_kit import open_kit
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


def _make_volumes(folder: Path) -> None:
    _make_bundle(folder)
    shutil.move(folder / "data" / "s0" / "images", folder / "images")
    (folder / "many").mkdir()


def _batch_is_whole(folder: Path, code: int) -> None:
    """Every case with a summary is complete."""
    for case in (folder / "many").iterdir():
        if case.is_dir():
            _result_is_whole(folder, 1)
    if code == 0:
        assert len(list((folder / "many").glob("*/" + SUMMARY))) == 3


def _make_data(folder: Path) -> None:
    write_federation(folder / "data")


def _plan_is_absent_or_whole(folder: Path, code: int) -> None:
    path = folder / "data" / "planned.toml"
    assert path.exists() == (code == 0)
    if code == 0:
        fedcross.load_config(path)


def _make_report(folder: Path) -> None:
    _make_data(folder)
    (folder / "report").mkdir()
    (folder / "report" / "data.json").write_text("{}", encoding="utf-8")
    (folder / "report" / "data.html").write_text("</html>", encoding="utf-8")


def _report_is_whole(folder: Path, code: int) -> None:
    json.loads((folder / "report" / "data.json").read_text(encoding="utf-8"))
    assert (folder / "report" / "data.html").read_text("utf-8").rstrip().endswith("</html>")


def _make_kits(folder: Path) -> None:
    init_federation(folder / "kits", Federation("Tiny", ("north", "south"), "localhost", 8002))
    make_request(folder / "key", "west")


def _kits_are_absent_or_whole(folder: Path, code: int) -> None:
    if code == 0:
        _kits_are_whole(folder, code)
    else:
        assert not (folder / "kits").exists()


def _kits_are_whole(folder: Path, code: int) -> None:
    """The folder is one of a federation, and every kit in it can be opened."""
    _, federation = read_federation(folder / "kits")
    assert {"north", "south"} <= set(federation.sites)
    for name in federation.sites:
        open_kit(folder / "kits" / "sites" / name, "site")
    for kit in coordinator_kits(folder / "kits", federation):
        open_kit(kit, "admin")


def _make_signed_kit(folder: Path) -> None:
    _make_kits(folder)
    add_site(folder / "kits", "west", read_request(folder / "key" / "west.csr").public_key)


def _key_is_somewhere(folder: Path, code: int) -> None:
    """The only copy of a private key is not lost."""
    kit = open_kit(folder / "kits" / "sites" / "west", "site")
    places = [path for path in (kit.key, folder / "key" / "client.key") if path.is_file()]
    assert places
    for path in places:
        load_key(path, path.name, "")
    if code == 0:
        assert places == [kit.key]


def _request_is_whole(folder: Path, code: int) -> None:
    assert (folder / "key").exists() == (code == 0)
    if code == 0:
        read_request(folder / "key" / "west.csr")


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
        "profile",
        _make_copy,
        (
            *("profile", "bundle", "--data", "data/config.toml", "--out", "copy"),
            *("--part", "train,validation,test", "--backend", "torch", "--device", "cpu"),
        ),
        _copy_is_whole,
    ),
    Case(
        "batch",
        _make_volumes,
        (
            *("segment", "--bundle", "bundle", "--images", "images", "--out", "many", "--flat"),
            *("--save-members", "--backend", "torch", "--device", "cpu"),
        ),
        _batch_is_whole,
    ),
    Case(
        "cache",
        _make_data,
        ("train", "data/config.toml", "--out", "run", "--device", "cpu", "--cache", "cache"),
        _run_is_sound,
        _train_again,
    ),
    Case(
        "plan",
        _make_data,
        ("plan", "data/config.toml", "--out", "data/planned.toml", "--device", "cpu"),
        _plan_is_absent_or_whole,
    ),
    Case(
        "check",
        _make_report,
        ("data", "check", "data/config.toml", "--out", "report"),
        _report_is_whole,
    ),
    Case(
        "init",
        lambda folder: None,
        ("federation", "init", "kits", "--sites", "north,south"),
        _kits_are_absent_or_whole,
    ),
    Case("add", _make_kits, ("federation", "add", "kits", "east"), _kits_are_whole),
    Case(
        "sign",
        _make_kits,
        ("federation", "add", "kits", "west", "--request", "key/west.csr"),
        _kits_are_whole,
    ),
    Case(
        "coordinator",
        _make_kits,
        ("federation", "add", "kits", "ann", "--coordinator"),
        _kits_are_whole,
    ),
    Case("renew", _make_kits, ("federation", "renew", "kits", "north"), _kits_are_whole),
    Case(
        "request",
        lambda folder: None,
        ("site", "request", "west", "--out", "key"),
        _request_is_whole,
    ),
    Case(
        "accept",
        _make_signed_kit,
        ("site", "accept", "kits/sites/west", "--key", "key/client.key"),
        _key_is_somewhere,
    ),
    Case(
        "phantom",
        lambda folder: None,
        ("data", "phantom", "hospitals", "--sites", "1", "--cases", "3"),
        _phantom_is_whole,
    ),
)
