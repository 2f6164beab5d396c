"""Files that version 0.1.0 wrote can be used: a bundle, a result, runs, kits and a job."""

import importlib
import json
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from earlier_version import fixture_data
from fedcross.contract.files import SUMMARY
from fedcross.contract.request import SegmentRequest
from fedcross.errors import CheckpointError
from fedcross.federate.flare.job import read_job
from fedcross.federate.kits.site_settings import load_site_settings
from fedcross.federate.kits.startup_kit import open_kit
from fedcross.federate.local.engine import run_local
from fedcross.infer.segment import segment
from fedcross.model.bundle import verify_bundle
from fedcross.runtime.reporting import NullReporter
from fedcross.training.config.configuration import TrainingConfig, config_sha256, parse_config
from fedcross.training.config.file import load_config
from fedcross.training.run.export import export_run
from fedcross.training.run.folder import RunFolder

FILES = Path(fixture_data.__file__).parent
METHODS = ("ens", "fedbn")
ADDED = (
    "interval_ml",
    "interval_coverage",
    "predicted_dice",
    "predicted_dice_error",
    "verdict",
    "verdict_basis",
)
"""Figures of a structure that later versions write."""


def unpack(name: str, folder: Path) -> Path:
    with zipfile.ZipFile(FILES / name) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = unpack("run.zip", tmp_path_factory.mktemp("runs"))
    fixture_data.write_sites(folder)
    return folder


def test_a_bundle_is_verified_and_gives_the_same_result(tmp_path: Path) -> None:
    assert len(verify_bundle(FILES / "bundle.zip").members) == 2
    fixture_data.write_segmented_volume(tmp_path / "volume.nii.gz")
    request = SegmentRequest(
        bundle=FILES / "bundle.zip",
        image=tmp_path / "volume.nii.gz",
        out=tmp_path / "new",
        backend="torch",
        device="cpu",
        precision="fp32",
        measure="std",  # the default of that version
        for_viewer=True,
        save_probabilities=True,
        save_members=True,
    )
    segment(request, NullReporter())
    before, after = unpack("result.zip", tmp_path) / "result", tmp_path / "new"
    names = sorted(path.name for path in before.iterdir())
    assert names == sorted(path.name for path in after.iterdir())
    for name in names:
        if name == SUMMARY:
            assert comparable_summary(after / name) == comparable_summary(before / name)
            continue
        old, new = (sitk.ReadImage(str(folder / name)) for folder in (before, after))
        assert old.GetOrigin() == new.GetOrigin(), name
        assert old.GetDirection() == new.GetDirection(), name
        arrays = (sitk.GetArrayFromImage(image) for image in (old, new))
        np.testing.assert_allclose(*arrays, atol=1e-4, err_msg=name)


def comparable_summary(path: Path) -> Any:
    """The summary without what differs between machines, numbers rounded.

    The hot spots are left out: that version ranked them by the map, this one by the doubt.
    """
    summary = json.loads(path.read_text(encoding="utf-8"))
    for key in ("created", "timings_s", "device", "packages", "hot_spots", "hot_spot_threshold"):
        del summary[key]
    summary.pop("calibration", None)  # what that version did not write
    for structure in summary["structures"]:
        for key in ADDED:
            structure.pop(key, None)
    assert summary.pop("familiarity", None) is None
    assert summary.pop("warnings", []) == []  # earlier versions had none
    return json.loads(
        json.dumps(summary), parse_float=lambda text: pytest.approx(float(text), abs=1e-3)
    )


def of_today(path: Path) -> TrainingConfig:
    """Load a configuration of the earlier version with the values that were fixed then."""
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    values["augmentation"] = {"preset": "paper"}
    values["training"]["keep"] = "best"
    config = parse_config(values, source=path.name)
    return config.model_copy(update={"data_root": path.parent})


@pytest.mark.parametrize("method", METHODS)
def test_a_run_is_not_resumed_with_other_augmentation_than_that_of_its_version(
    runs: Path, method: str
) -> None:
    with pytest.raises(CheckpointError, match=r"preset paper.*asks for strong") as caught:
        run_local(load_config(runs / f"{method}.toml"), runs / f"{method}-finished", resume=True)
    assert 'keep = "best"' in str(caught.value.hint)


@pytest.mark.parametrize("method", METHODS)
def test_a_finished_run_is_exported_and_its_resumption_trains_nothing(
    runs: Path, tmp_path: Path, method: str
) -> None:
    run = runs / f"{method}-finished"
    assert len(export_run(run, tmp_path / "bundle").manifest.members) == 2
    before = {path: path.read_bytes() for path in (run / "checkpoints").rglob("*.safetensors")}
    run_local(of_today(runs / f"{method}.toml"), run, resume=True, device="cpu")
    after = {path: path.read_bytes() for path in (run / "checkpoints").rglob("*.safetensors")}
    assert after == before


@pytest.mark.parametrize("method", METHODS)
def test_the_identity_of_a_configuration_is_the_recorded_one(runs: Path, method: str) -> None:
    recorded = json.loads((runs / f"{method}-finished" / "config.json").read_text("utf-8"))
    assert config_sha256(of_today(runs / f"{method}.toml")) == recorded["sha256"]


def test_an_interrupted_run_continues_to_the_recorded_members(runs: Path) -> None:
    run = runs / "ens-interrupted"
    run_local(of_today(runs / "ens.toml"), run, resume=True, device="cpu")
    expected = json.loads((FILES / "run_expected.json").read_text(encoding="utf-8"))
    checkpoint = RunFolder(run).checkpoints.latest()
    assert checkpoint is not None
    assert checkpoint.rounds_done == 2
    for member in checkpoint.members:
        total = sum(float(tensor.double().abs().sum()) for tensor in member.weights.values())
        recorded = expected["members"][f"member_{member.index}"]["weights_sum"]
        assert total == pytest.approx(recorded, rel=1e-3)
    metrics = [
        {k: v for k, v in line.items() if k != "seconds"} for line in RunFolder(run).metrics()
    ]
    assert approximate(metrics) == expected["metrics"]
    assert approximate(RunFolder(run).read("test.json")["mean"]) == expected["test"]["mean"]


def approximate(values: Any) -> Any:
    """The same values; floats compare equal within 0.02, since processors round differently."""
    return json.loads(
        json.dumps(values), parse_float=lambda text: pytest.approx(float(text), abs=0.02)
    )


def test_kits_and_their_settings_are_read(tmp_path: Path) -> None:
    folder = unpack("kits.zip", tmp_path) / "kits"
    kits = {name: open_kit(folder / name) for name in ("server", "admin", "sites/s0", "sites/s1")}
    assert [kit.kind for kit in kits.values()] == ["server", "admin", "site", "site"]
    assert {kit.federation for kit in kits.values()} == {"tiny"}
    settings = folder / "sites" / "s0" / "local" / "site.toml"
    settings.write_text(f"data = '{tmp_path}'\n", encoding="utf-8")
    assert load_site_settings(kits["sites/s0"].path).data == tmp_path


def test_a_job_has_the_same_configuration_and_names_classes_that_exist(tmp_path: Path) -> None:
    folder = unpack("kits.zip", tmp_path)
    (app,) = folder.glob("job/*/app")
    config = read_job(app / "config").config
    assert config_sha256(config) == config_sha256(of_today(folder / "federation.toml"))
    for name in ("config_fed_server.json", "config_fed_client.json"):
        settings = json.loads((app / "config" / name).read_text(encoding="utf-8"))
        for component in settings["components"]:
            module, _, cls = component["path"].rpartition(".")
            assert hasattr(importlib.import_module(module), cls)
