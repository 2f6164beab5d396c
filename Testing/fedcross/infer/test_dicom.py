"""Segmentation of DICOM: the same result as of another format, and the choice of a series."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

import fedcross
from dicom_files import make_volume, write_series
from fedcross.contract.request import SegmentRequest, parse_request
from fedcross.errors import ConfigError, DataError
from fedcross.infer.__main__ import main
from fedcross.model.bundle import Bundle
from fedcross.volumes.files.read import read_volume

FAULTS = Path(__file__).parents[4] / "shared" / "faults"
OTHER = "1.2.826.0.1.3680043.10.1.8"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder with two series of 8 slices."""
    folder = write_series(tmp_path / "study", make_volume((8, 12, 12)))
    return write_series(folder, make_volume((8, 12, 12))[::-1] * 2, uid=OTHER, prefix="B")


def voxels(path: Path) -> Any:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def test_the_chosen_series_is_segmented_like_its_volume_in_another_format(
    bundle: Bundle, study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sitk.WriteImage(read_volume(study, OTHER), str(tmp_path / "v.nrrd"))
    plain = SegmentRequest(bundle.path, tmp_path / "v.nrrd", tmp_path / "plain", device="cpu")
    chosen = SegmentRequest(bundle.path, study, tmp_path / "chosen", device="cpu", series=("2",))
    assert main(plain.words()) == main(chosen.words()) == 0
    for name in ("uncertainty.nrrd", "segmentation.seg.nrrd"):
        np.testing.assert_array_equal(
            voxels(tmp_path / "plain" / name), voxels(tmp_path / "chosen" / name)
        )
    capfd.readouterr()
    without = SegmentRequest(bundle.path, study, tmp_path / "out", device="cpu")
    assert main([*without.words(), "--events"]) == 2
    event = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert event["type"] == "DataError"
    assert event["message"].startswith("The folder study holds 2 volumes: 1: MR, axial, 8 slices")
    assert not (tmp_path / "out").exists()


def test_each_channel_has_its_series(make_bundle: Callable[..., Bundle], study: Path) -> None:
    two = make_bundle(members=2, structures=1, channels=("T2", "ADC"))
    images = [read_volume(study, each) for each in ("1", "2")]
    expected = fedcross.segment(images, two, device="cpu").measures["std"]
    for series in (("1", "2"), [1, OTHER]):
        found = fedcross.segment([study, study], two, device="cpu", series=series)
        np.testing.assert_array_equal(found.measures["std"], expected)
    mixed = fedcross.segment([study, images[1]], two, device="cpu", series=[1, None])
    np.testing.assert_array_equal(mixed.measures["std"], expected)
    with pytest.raises(
        ConfigError, match=r"Got 1 series for 2 images\. Give --series once for each"
    ):
        fedcross.segment([study, study], two, series=1)
    with pytest.raises(ConfigError, match="an image in memory has none"):
        fedcross.segment(images, two, series=["1", None])


def test_the_words_of_a_request_carry_its_series() -> None:
    made = SegmentRequest(
        Path("b"), Path("i"), Path("o"), further=(Path("j"),), series=("2", "auto")
    )
    assert made.words()[-4:] == ["--series", "2", "--series", "auto"]
    assert parse_request(made.words()) == made
    with pytest.raises(ConfigError, match="Got 3 series for 1 image"):
        SegmentRequest(Path("b"), Path("i"), Path("o"), series=("1", "2", "3"))


def test_what_was_changed_while_reading_is_a_warning(
    bundle: Bundle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def change(dataset: Any, _k: int) -> None:
        dataset.PhotometricInterpretation = "MONOCHROME1"

    folder = write_series(tmp_path / "s", make_volume((8, 12, 12)), change)
    request = SegmentRequest(bundle.path, folder, tmp_path / "out", device="cpu")
    assert main([*request.words(), "--events"]) == 0
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    notes = [event["message"] for event in events if event["event"] == "warning"]
    assert any("MONOCHROME1" in note for note in notes)


@pytest.mark.skipif(not FAULTS.is_dir(), reason="the folder of faults is not there")
@pytest.mark.parametrize(
    ("name", "series", "message"),
    [
        ("classic_mf", None, "no position for each of its 24 slices"),
        ("damaged_last", None, "the first is IM0023.dcm"),
        ("enh_tilt", None, "not stacked straight"),
        ("enh_time", None, "holds 2 volumes"),
        ("groups", None, "holds 3 volumes"),
        ("mosaic", None, "a Siemens mosaic"),
        ("scout_in_series", None, "holds 2 volumes"),
        ("enh_scrambled", None, ""),
        ("enh_slope", None, ""),
        ("enh_time", "1", ""),
        ("jitter", None, ""),
        ("scout_in_series", "1", ""),
    ],
)
def test_faults_are_refused_or_read_right(name: str, series: str | None, message: str) -> None:
    if message:
        with pytest.raises(DataError, match=message):
            read_volume(FAULTS / "dicom" / name, series)
        return
    right = sitk.ReadImage(str(FAULTS / "volumes" / "plain.nii.gz"))
    image = read_volume(FAULTS / "dicom" / name, series)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(right))
    np.testing.assert_allclose(image.GetOrigin(), right.GetOrigin(), atol=0.13)
