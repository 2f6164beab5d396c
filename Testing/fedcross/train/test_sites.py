from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from fedcross.errors import DataError
from fedcross.model.manifest import Preprocessing
from fedcross.train.config import load_config
from fedcross.train.reading import read_case
from fedcross.train.sites import find_all_cases, load_sites, load_volume
from fedcross.train.volumes import CaseFiles
from tiny_federation import SPACING_MM, tiny_config, write_array, write_case, write_federation

SAME = Preprocessing(spacing_mm=SPACING_MM, patch_size=(16, 16, 16))


def a_case(folder: Path, image: np.ndarray, label: np.ndarray) -> CaseFiles:
    write_array(folder / "i.nii.gz", image)
    write_array(folder / "l.nii.gz", label)
    return CaseFiles("anna", folder / "i.nii.gz", folder / "l.nii.gz")


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).normal(100, 20, (6, 7, 8)).astype(np.float32)


def test_a_site_holds_its_cases_normalised_with_their_labels(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    first, second = load_sites(config, find_all_cases(config))
    assert (first.name, second.name) == ("s0", "s1")
    assert [len(first.train), len(first.validation), len(first.test)] == [1, 1, 1]
    (volume,) = first.train
    assert volume.image.mean().item() == pytest.approx(0, abs=1e-5)
    assert volume.image.std(correction=0).item() == pytest.approx(1, abs=1e-5)
    inside = volume.label == 1
    assert volume.image[inside].mean() > 1 > volume.image[~inside].mean() + 1


def test_labels_are_mapped_as_the_site_says(tmp_path: Path, image: np.ndarray) -> None:
    label = np.zeros(image.shape, np.uint8)
    label[0], label[1], label[2] = 1, 2, 7
    _, mapped = read_case(a_case(tmp_path, image, label), {1: 1, 2: 1, 7: 0}, "north")
    assert [np.unique(mapped[plane]).tolist() for plane in range(4)] == [[1], [1], [0], [0]]


def test_a_label_outside_the_map_is_named(tmp_path: Path, image: np.ndarray) -> None:
    label = np.zeros(image.shape, np.uint8)
    label[0, 0, 0] = 3
    with pytest.raises(DataError, match=r"Case anna of site north: the label holds 3; .*0, 1"):
        read_case(a_case(tmp_path, image, label), {1: 1}, "north")


def test_a_label_that_is_no_whole_number_is_named(tmp_path: Path, image: np.ndarray) -> None:
    label = np.zeros(image.shape, np.float32)
    label[0, 0, 0] = 0.5
    with pytest.raises(DataError, match=r"the label holds 0\.5"):
        read_case(a_case(tmp_path, image, label), {1: 1}, "north")


def test_image_and_label_of_different_shapes_are_refused(tmp_path: Path, image: np.ndarray) -> None:
    case = a_case(tmp_path, image, np.zeros((6, 7, 9), np.uint8))
    with pytest.raises(DataError, match=r"anna of site north.*\(8, 7, 6\) voxels.*\(9, 7, 6\)"):
        read_case(case, {1: 1}, "north")


@pytest.mark.parametrize(("what", "by"), [("Origin", 1.0), ("Spacing", 0.1)])
def test_image_and_label_that_lie_elsewhere_are_refused(
    tmp_path: Path, image: np.ndarray, what: str, by: float
) -> None:
    case = a_case(tmp_path, image, np.zeros(image.shape, np.uint8))
    label = sitk.ReadImage(str(case.label))
    getattr(label, f"Set{what}")([value + by for value in getattr(label, f"Get{what}")()])
    sitk.WriteImage(label, str(case.label))
    with pytest.raises(DataError, match=f"anna of site north: the image's {what.lower()} is"):
        read_case(case, {1: 1}, "north")


def test_rounding_in_the_label_files_header_is_forgiven(tmp_path: Path, image: np.ndarray) -> None:
    case = a_case(tmp_path, image, np.zeros(image.shape, np.uint8))
    label = sitk.ReadImage(str(case.label))
    label.SetOrigin([0.01, -0.01, 0.02])
    sitk.WriteImage(label, str(case.label))
    assert read_case(case, {1: 1}, "north")[1].shape == image.shape


def test_an_unusable_image_names_its_case(tmp_path: Path, image: np.ndarray) -> None:
    image[0, 0, 0] = np.nan
    case = a_case(tmp_path, image, np.zeros(image.shape, np.uint8))
    with pytest.raises(DataError, match=r"Case anna of site north: .*NaN"):
        read_case(case, {1: 1}, "north")
    case.label.write_bytes(b"no image")
    write_array(case.image, np.ones((3, 3, 3), np.float32))
    with pytest.raises(DataError, match="Case anna of site north: "):
        read_case(case, {1: 1}, "north")


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PIR", "SAL"])
def test_image_and_label_stay_together_however_they_are_stored(
    tmp_path: Path, orientation: str
) -> None:
    write_case(tmp_path, "anna", np.random.default_rng(3))
    plain = CaseFiles(
        "anna", tmp_path / "images" / "anna.nii.gz", tmp_path / "labels" / "anna.nii.gz"
    )
    turned = CaseFiles("anna", tmp_path / "i.nii.gz", tmp_path / "l.nii.gz")
    for source, target in ((plain.image, turned.image), (plain.label, turned.label)):
        stored = sitk.DICOMOrient(sitk.ReadImage(str(source)), orientation)
        sitk.WriteImage(stored, str(target))
    for spacing in (SPACING_MM, (1.7, 2.3, 2.1)):
        wanted = Preprocessing(spacing_mm=spacing, patch_size=(16, 16, 16))
        first = load_volume(plain, {1: 1}, wanted, "north")
        second = load_volume(turned, {1: 1}, wanted, "north")
        assert np.allclose(first.image.numpy(), second.image.numpy(), atol=1e-4)
        assert torch.equal(first.label, second.label)


def test_at_the_models_spacing_nothing_is_resampled(tmp_path: Path, image: np.ndarray) -> None:
    label = np.random.default_rng(1).integers(0, 3, image.shape).astype(np.uint8)
    volume = load_volume(a_case(tmp_path, image, label), {1: 1, 2: 2}, SAME, "north")
    assert np.array_equal(volume.label.numpy(), label)
    expected = (image - image.mean(dtype=np.float64)) / image.std(dtype=np.float64)
    assert np.allclose(volume.image.numpy(), expected, atol=1e-6)


def test_one_image_at_two_sites_is_refused(tmp_path: Path) -> None:
    path = write_federation(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace("s1/", "s0/"), encoding="utf-8")
    with pytest.raises(DataError, match="belongs to two sites, s0 and s1"):
        find_all_cases(load_config(path))
