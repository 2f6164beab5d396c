"""From the data of hospitals to a segmentation with its uncertainty, on the command line."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from fedcross.cli import main
from fedcross.training.data.phantom.styles import SITE_STYLES
from fedcross.training.data.phantom.volumes import write_synthetic_federation

CONFIG = """
name = "Tiny"
[method]
rounds = 2
local_epochs = 1
[network]
base_channels = 2
norm = "instance"
[preprocessing]
spacing_mm = [6.0, 6.0, 6.0]
patch_size = [32, 16, 16]
[training]
batch_size = 2
patches_per_case = 1
[[structures]]
name = "Phantom organ"
label = 1
"""
SITE = """
[[sites]]
name = "{0}"
images = "{0}/images"
labels = "{0}/labels"
split = [1, 1, 1]
"""


@pytest.fixture
def fedcross(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    def run(*arguments: str | Path) -> int:
        monkeypatch.setattr(sys, "argv", ["fedcross", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return run


def test_train_export_pack_and_segment(tmp_path: Path, fedcross: Callable[..., int]) -> None:
    names = list(SITE_STYLES)[:2]
    styles = {name: SITE_STYLES[name] for name in names}
    write_synthetic_federation(tmp_path / "data", cases_per_site=3, seed=1, styles=styles)
    config = tmp_path / "tiny.toml"
    config.write_text(CONFIG + "".join(SITE.format(name) for name in names))
    run, bundle, packed = tmp_path / "run", tmp_path / "bundle", tmp_path / "bundle.zip"

    train = ("train", config, "--data", tmp_path / "data", "--out", run, "--device", "cpu")
    assert fedcross(*train) == 0
    assert fedcross(*train) == 2  # a finished run is not trained over
    assert fedcross(*train, "--resume") == 0
    assert fedcross("export", run, bundle) == 0
    assert fedcross("bundle", "verify", bundle) == 0
    assert fedcross("bundle", "pack", bundle, packed) == 0

    image = tmp_path / "data" / names[1] / "images" / "case-01.nii.gz"
    out = tmp_path / "result"
    options = ("--save-members", "--save-probabilities", "--measure", "mutual_information")
    assert fedcross("segment", "--bundle", packed, "--image", image, "--out", out, *options) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "member_0.seg.nrrd",
        "member_1.seg.nrrd",
        "probability_phantom_organ.nrrd",
        "segmentation.seg.nrrd",
        "summary.json",
        "uncertainty.nrrd",
    ]
    summary = json.loads((out / "summary.json").read_text())
    assert summary["measure"] == "mutual_information"
    assert summary["bundle"]["members"] == 2
    given = sitk.ReadImage(str(image))
    for name in ("segmentation.seg.nrrd", "uncertainty.nrrd", "probability_phantom_organ.nrrd"):
        written = sitk.ReadImage(str(out / name))
        assert written.GetSize() == given.GetSize()
        assert np.allclose(written.GetOrigin(), given.GetOrigin(), atol=1e-6)
        assert np.allclose(written.GetDirection(), given.GetDirection(), atol=1e-6)
    assert not [path for path in tmp_path.rglob("*") if str(tmp_path).encode() in _text(path)]


def _text(path: Path) -> bytes:
    """What a file says in words: nothing may name a folder of this machine."""
    return (
        path.read_bytes() if path.is_file() and path.suffix in {".json", ".md", ".jsonl"} else b""
    )
