from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from fedcross.errors import DataError
from fedcross.federate.local.visits import pool_sites
from fedcross.training.config.file import load_config
from fedcross.training.data.sites import find_all_cases, load_sites, load_volume
from fedcross.training.data.volumes import CaseFiles
from fedcross.volumes.preprocessing import Preprocessing
from tiny_federation import (
    SPACING_MM,
    tiny_config,
    write_case,
    write_case_files,
    write_federation,
)

SAME = Preprocessing(spacing_mm=SPACING_MM, patch_size=(16, 16, 16))


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).normal(100, 20, (6, 7, 8)).astype(np.float32)


def test_loaded_cases_have_z_scores_and_labels_that_fit_them(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    first, second = load_sites(config, find_all_cases(config))
    assert (first.name, second.name) == ("s0", "s1")
    assert [len(first.train), len(first.validation), len(first.test)] == [1, 1, 1]
    (volume,) = first.train
    assert volume.image.mean().item() == pytest.approx(0, abs=1e-5)
    assert volume.image.std(correction=0).item() == pytest.approx(1, abs=1e-5)
    inside = volume.label == 1
    (image,) = volume.image
    assert image[inside].mean() > 1 > image[~inside].mean() + 1


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PIR", "SAL"])
def test_the_stored_orientation_does_not_change_the_loaded_case(
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
    volume = load_volume(write_case_files(tmp_path, image, label), {1: 1, 2: 2}, SAME, "north")
    assert np.array_equal(volume.label.numpy(), label)
    expected = (image - image.mean(dtype=np.float64)) / image.std(dtype=np.float64)
    assert np.allclose(volume.image.numpy(), expected[None], atol=1e-6)


def test_one_image_at_two_sites_is_refused(tmp_path: Path) -> None:
    path = write_federation(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace("s1/", "s0/"), encoding="utf-8")
    with pytest.raises(DataError, match="belongs to two sites, s0 and s1"):
        find_all_cases(load_config(path))


def test_one_image_of_two_cases_of_a_site_is_refused(tmp_path: Path) -> None:
    path = write_federation(tmp_path, sites=1)
    rows = "name,image,label,split\na,i/1.nii.gz,l/1.nii.gz,train\nb,i/1.nii.gz,l/1.nii.gz,test\n"
    rows = rows.replace("i/", "images/case-").replace("l/", "labels/case-")
    (tmp_path / "s0" / "cases.csv").write_text(rows, encoding="utf-8")
    text = path.read_text(encoding="utf-8").replace('images = "s0/images"', 'list = "s0/cases.csv"')
    text = text.replace('labels = "s0/labels"\n', "").replace("split = [1, 1, 1]\n", "")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="Cases a and b of site s0 have the same image"):
        find_all_cases(load_config(path))


def test_every_loaded_case_lists_the_structures_missing_at_its_site(tmp_path: Path) -> None:
    path = write_federation(tmp_path)
    text = path.read_text(encoding="utf-8")
    text = text.replace("label = 1\n", 'label = 1\n[[structures]]\nname = "Rim"\nlabel = 2\n')
    path.write_text(text.replace('"s1"', '"s1"\nlabels_missing = ["Rim"]'), encoding="utf-8")
    config = load_config(path)
    first, second = load_sites(config, find_all_cases(config))
    assert (first.missing, second.missing) == ((), (2,))
    assert (first.label_map, second.label_map) == ({1: 1, 2: 2}, {1: 1})
    assert {volume.missing for volume in (*second.train, *second.validation)} == {(2,)}
    for volume in pool_sites([first, second]).train:
        assert volume.missing == ((2,) if volume is second.train[0] else ())
    write_case(tmp_path / "s1", "case-0", np.random.default_rng(1), value=2)
    write_case(tmp_path / "s1", "case-1", np.random.default_rng(1), value=2)
    with pytest.raises(
        DataError, match=r"of site s1: the label has the unknown values 2; known values are 0, 1"
    ):
        load_sites(config, find_all_cases(config))


def test_the_error_of_a_volume_too_large_at_the_models_spacing_names_its_case(
    tmp_path: Path, image: np.ndarray
) -> None:
    fine = Preprocessing(spacing_mm=(0.001, 0.001, 0.001), patch_size=(16, 16, 16))
    with pytest.raises(DataError, match=r"^Case anna of site north: At the bundle's spacing"):
        load_volume(
            write_case_files(tmp_path, image, np.zeros(image.shape, np.uint8)),
            {1: 1},
            fine,
            "north",
        )
