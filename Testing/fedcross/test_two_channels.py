"""From cases of two images to a segmentation, on the command line, with every back-end for CPUs."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from fedcross.backends.factory import _has_openvino
from fedcross.cli import main
from fedcross.model.bundle import open_bundle
from fedcross.runtime.files.cache_folder import CACHE_VARIABLE
from two_channels import write_two_channel_federation


@pytest.fixture
def fedcross(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))

    def run(*arguments: str | Path) -> int:
        monkeypatch.setattr(sys, "argv", ["fedcross", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return run


def test_train_export_and_segment_two_channels_with_equal_back_ends(
    tmp_path: Path, fedcross: Callable[..., int], capfd: pytest.CaptureFixture[str]
) -> None:
    config = write_two_channel_federation(tmp_path / "data", extra="learning_rate = 0.05")
    run, bundle = tmp_path / "run", tmp_path / "bundle"
    assert fedcross("data", "check", config, "--out", tmp_path / "check") == 0
    assert fedcross("train", config, "--out", run, "--device", "cpu") == 0
    assert fedcross("train", config, "--out", run, "--device", "cpu", "--resume") == 0
    assert fedcross("export", run, bundle) == 0
    assert fedcross("bundle", "verify", bundle) == 0
    with open_bundle(bundle) as opened:
        assert opened.manifest.architecture.in_channels == 2
        assert opened.manifest.preprocessing.channel_names == ("T2", "ADC")
    capfd.readouterr()
    assert fedcross("bundle", "show", bundle) == 0
    assert "T2, ADC" in capfd.readouterr().out

    first = tmp_path / "data" / "s0" / "images" / "case-1.nii.gz"
    second = tmp_path / "data" / "s0" / "adc" / "case-1.nii.gz"
    maps = []
    for backend in ("torch", "tuned", *(["openvino"] if _has_openvino() else [])):
        out = tmp_path / backend
        words = ("--bundle", bundle, "--image", first, "--image", second, "--out", out)
        assert (
            fedcross(
                "segment",
                *words,
                "--backend",
                backend,
                "--device",
                "cpu",
                "--precision",
                "fp32",
                "--save-probabilities",
            )
            == 0
        )
        maps.append(sitk.GetArrayFromImage(sitk.ReadImage(str(out / "probability_blob.nrrd"))))
        summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
        assert summary["backend"] == backend
        assert tuple(summary["geometry"]["size"]) == sitk.ReadImage(str(first)).GetSize()
    assert maps[0].std() > 1e-4
    for found in maps[1:]:
        np.testing.assert_allclose(found, maps[0], atol=1e-4)

    text = config.read_text(encoding="utf-8").replace('["T2", "ADC"]', '["ADC", "T2"]')
    config.write_text(f"{text}[start]\nbundle = '{bundle}'\n", encoding="utf-8")
    assert fedcross("train", config, "--out", tmp_path / "next") == 2
    assert "has the channels t2, adc, the configuration adc, t2" in capfd.readouterr().err

    assert fedcross("segment", "--bundle", bundle, "--image", first, "--out", tmp_path / "one") == 2
    assert "The bundle Tiny needs 2 images (T2, ADC), got 1." in capfd.readouterr().err
