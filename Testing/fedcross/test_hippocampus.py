"""A short version of the hippocampus federation, where its volumes lie beside the project."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from fedcross.contract.request import SegmentRequest
from fedcross.federate.local.engine import run_local
from fedcross.infer.segment import segment
from fedcross.runtime.reporting import NullReporter
from fedcross.train.config.configuration import parse_config
from fedcross.train.run.export import export_run

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "msd_hippocampus"


@pytest.mark.skipif(not DATA.is_dir(), reason="the hippocampus volumes are not on this machine")
def test_a_few_rounds_learn_both_parts_of_the_hippocampus(tmp_path: Path) -> None:
    values = tomllib.loads((ROOT / "training/configs/hippocampus.toml").read_text("utf-8"))
    values["method"] |= {"rounds": 4, "local_epochs": 3}
    values["network"] |= {"base_channels": 4}
    values["preprocessing"] |= {"spacing_mm": [2.0, 2.0, 2.0], "patch_size": [32, 32, 32]}
    # Many small steps on a coarse grid learn most in little time.
    values["training"] |= {"batch_size": 1, "patches_per_case": 2, "validate_every": 4}
    values["training"] |= {"optimizer": "adamw", "learning_rate": 0.003}
    config = parse_config(values, source="test").model_copy(update={"data_root": DATA})
    run_local(config, tmp_path / "run", device="cpu")
    figures = json.loads((tmp_path / "run" / "test.json").read_text())
    assert figures["mean"]["ensemble"] > 0.4  # 0.80 and more after all of the rounds

    bundle = export_run(tmp_path / "run", tmp_path / "bundle")
    case = next(iter(figures["sites"]["site-1"]["cases"]))
    image = DATA / "images" / f"{case}.nii.gz"
    summary = segment(SegmentRequest(bundle.path, image, tmp_path / "result"), NullReporter())
    assert [s.name for s in summary.structures] == ["Anterior hippocampus", "Posterior hippocampus"]
    found = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "result/segmentation.seg.nrrd")))
    truth = sitk.GetArrayFromImage(sitk.ReadImage(str(DATA / "labels" / image.name)))
    overlap = np.count_nonzero((found > 0) & (truth > 0))
    assert 2 * overlap / (np.count_nonzero(found) + np.count_nonzero(truth)) > 0.5
