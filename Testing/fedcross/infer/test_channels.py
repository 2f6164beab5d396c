"""Segmentation with bundles whose networks have several input channels."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

import fedcross
from fedcross.contract.measures import DEFAULT_MEASURE
from fedcross.contract.request import SegmentRequest
from fedcross.errors import ConfigError, DataError, OutputError
from fedcross.infer.__main__ import main
from fedcross.infer.segment import segment
from fedcross.model.bundle import Bundle
from fedcross.runtime.reporting import NullReporter
from fedcross.volumes.intensity import zscore

SPACING_MM = (1.0, 1.0, 2.0)
NAMES = ("T2", "ADC")


@pytest.fixture(scope="module")
def two(make_bundle: Callable[..., Bundle]) -> Bundle:
    return make_bundle(members=2, structures=1, channels=NAMES)


@pytest.fixture
def images(tmp_path: Path) -> tuple[Path, Path]:
    """Two images of exactly one patch, on one grid."""
    rng = np.random.default_rng(3)
    paths = tmp_path / "t2.nii.gz", tmp_path / "adc.nrrd"
    for path in paths:
        image = sitk.GetImageFromArray(rng.normal(50, 9, (16, 32, 32)).astype(np.float32))
        image.SetSpacing(SPACING_MM)
        sitk.WriteImage(image, str(path))
    return paths


def voxels(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def request(bundle: Bundle, out: Path, *images: Path, **options: object) -> SegmentRequest:
    return SegmentRequest(
        bundle.path,
        images[0],
        out,
        further=images[1:],
        device="cpu",
        **options,  # type: ignore[arg-type]
    )


def test_one_patch_equals_the_plain_computation(
    two: Bundle, images: tuple[Path, Path], tmp_path: Path
) -> None:
    asked = request(two, tmp_path / "out", *images, save_probabilities=True, measure="std")
    assert main(asked.words()) == 0
    x = torch.from_numpy(np.stack([zscore(voxels(path)) for path in images]))[None]
    with torch.no_grad():
        each = [two.load_member(index)(x).softmax(1)[0, 1].numpy() for index in range(2)]
    found = voxels(tmp_path / "out" / "probability_left_kidney.nrrd")
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-5)
    heat = voxels(tmp_path / "out" / "uncertainty.nrrd")
    np.testing.assert_allclose(heat, np.std(each, axis=0), atol=1e-5)


def test_the_order_of_the_images_matters(
    two: Bundle, images: tuple[Path, Path], tmp_path: Path
) -> None:
    maps = []
    for order in (images, images[::-1]):
        segment(request(two, tmp_path / "out", *order), NullReporter())
        maps.append(voxels(tmp_path / "out" / "uncertainty.nrrd"))
    assert np.abs(maps[0] - maps[1]).max() > 1e-3


@pytest.mark.parametrize("given", ["arrays", "images", "files", "an array and a file"])
def test_python_takes_a_list_of_images(
    given: str, two: Bundle, images: tuple[Path, Path], tmp_path: Path
) -> None:
    segment(request(two, tmp_path / "out", *images), NullReporter())
    cases = {
        "arrays": [voxels(path) for path in images],
        "images": [sitk.ReadImage(str(path)) for path in images],
        "files": [str(path) for path in images],
        "an array and a file": [voxels(images[0]), images[1]],
    }
    geometry = {"spacing_mm": SPACING_MM} if "array" in given else {}
    result = fedcross.segment(cases[given], two, device="cpu", probabilities=False, **geometry)
    np.testing.assert_array_equal(
        result.measures[DEFAULT_MEASURE], voxels(tmp_path / "out" / "uncertainty.nrrd")
    )


@pytest.mark.parametrize("count", [1, 3])
def test_another_number_of_images_than_channels_is_one_sentence_with_their_names(
    count: int, two: Bundle, images: tuple[Path, Path], tmp_path: Path
) -> None:
    given = (*images, images[0])[:count]
    with pytest.raises(ConfigError) as caught:
        segment(request(two, tmp_path / "out", *given), NullReporter())
    assert caught.value.message == f"The bundle Tiny needs 2 images (T2, ADC), got {count}."
    assert not (tmp_path / "out").exists()


def test_two_images_for_a_bundle_of_one_channel_are_refused(
    bundle: Bundle, images: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*request(bundle, tmp_path / "out", *images).words(), "--events"]) == 2
    assert "The bundle Tiny takes one image, got 2." in capfd.readouterr().out


def test_an_empty_list_of_images_is_refused(two: Bundle) -> None:
    with pytest.raises(ConfigError, match=r"needs 2 images \(T2, ADC\), got 0"):
        fedcross.segment([], two)


def test_results_are_on_the_grid_of_the_first_image(
    two: Bundle, images: tuple[Path, Path], tmp_path: Path
) -> None:
    fine = sitk.Resample(sitk.ReadImage(str(images[1])), (64, 60, 20))
    sitk.WriteImage(fine, str(tmp_path / "fine.nrrd"))
    summary = segment(
        request(two, tmp_path / "out", images[0], tmp_path / "fine.nrrd"), NullReporter()
    )
    assert summary.geometry.size == (32, 32, 16)
    written = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert written["geometry"]["spacing_mm"] == list(SPACING_MM)


def test_images_beside_each_other_are_refused_with_the_names_of_the_channels(
    two: Bundle, images: tuple[Path, Path], tmp_path: Path
) -> None:
    image = sitk.ReadImage(str(images[1]))
    image.SetOrigin((500.0, 0.0, 0.0))
    sitk.WriteImage(image, str(tmp_path / "beside.nrrd"))
    with pytest.raises(DataError, match="The image for ADC lies beside the image for T2"):
        segment(request(two, tmp_path / "out", images[0], tmp_path / "beside.nrrd"), NullReporter())


def test_the_results_do_not_replace_a_further_image(
    two: Bundle, images: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    second = images[1].rename(tmp_path / "out" / "uncertainty.nrrd")
    with pytest.raises(OutputError, match=r"would replace the input uncertainty\.nrrd"):
        segment(request(two, tmp_path / "out", images[0], second), NullReporter())


def test_warnings_name_the_channel_and_two_equal_volumes(
    two: Bundle, images: tuple[Path, Path], tmp_path: Path
) -> None:
    sitk.WriteImage(sitk.Image([32, 32, 16], sitk.sitkInt16), str(images[1]))
    summary = segment(request(two, tmp_path / "out", *images), NullReporter())
    assert [line for line in summary.warnings if "ADC" in line] == [
        "ADC: All voxels have the same value, 0."
    ]
    summary = segment(request(two, tmp_path / "out", images[0], images[0]), NullReporter())
    assert "T2 and ADC are the same volume." in summary.warnings
