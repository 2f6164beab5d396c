"""The pelvis federation: its cases, its files and its configuration."""

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from fedcross.errors import ConfigError, OutputError
from fedcross.training.config.file import load_config
from fedcross.training.data.check.federation import check_data
from fedcross.training.data.phantom.pelvis.cases import make_pelvis_case
from fedcross.training.data.phantom.pelvis.federation import write_pelvis_federation
from fedcross.training.data.phantom.pelvis.tables import HOSPITALS, SLICES, TISSUES, VOLUME_ML
from fedcross.training.data.sites import find_all_cases

Voxels = NDArray[np.int16]


@cache
def case(site: str, seed: int = 0) -> tuple[sitk.Image, sitk.Image]:
    return make_pelvis_case(site, np.random.default_rng(seed))


def arrays(site: str) -> tuple[Voxels, NDArray[np.bool_]]:
    image, label = case(site)
    return sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(label) == 1


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pelvis") / "federation"
    return write_pelvis_federation(folder, sites=1, cases=3, seed=4)


def test_every_tissue_has_a_brightness_at_every_hospital() -> None:
    assert {len(tissue.brightness) for tissue in TISSUES.values()} == {len(HOSPITALS)}


@pytest.mark.parametrize("site", HOSPITALS)
def test_a_case_has_the_geometry_of_its_hospital(site: str) -> None:
    hospital, (image, label) = HOSPITALS[site], case(site)
    assert image.GetPixelID() == sitk.sitkInt16
    assert label.GetPixelID() == sitk.sitkUInt8
    for name in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(image, name)() == getattr(label, name)()
    x, y, thick = image.GetSpacing()
    assert hospital.plane_mm[0] <= x == y <= hospital.plane_mm[1]
    assert hospital.slice_mm[0] <= thick
    assert SLICES[0] <= image.GetSize()[2] <= SLICES[1]
    assert hospital.fov_mm[0] - 3 <= x * image.GetSize()[0] <= hospital.fov_mm[1]


@pytest.mark.parametrize("site", HOSPITALS)
def test_the_organ_is_inside_the_image_and_of_the_stated_volume(site: str) -> None:
    _, organ = arrays(site)
    volume_ml = organ.sum() * np.prod(case(site)[1].GetSpacing()) / 1000
    assert VOLUME_ML[0] <= volume_ml <= VOLUME_ML[1]
    for axis in range(3):
        assert not organ.take([0, -1], axis=axis).any()


def test_equal_seeds_give_equal_cases_and_different_seeds_different_ones() -> None:
    first, again, other = (
        [sitk.GetArrayFromImage(part) for part in make_pelvis_case("site-1", rng)]
        for rng in map(np.random.default_rng, (0, 0, 1))
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert first[0].shape != other[0].shape or not np.array_equal(first[0], other[0])


def test_the_hospitals_differ_in_stored_numbers_and_in_resolution() -> None:
    levels = {site: float(np.percentile(arrays(site)[0], 90)) for site in HOSPITALS}
    assert levels["site-2"] > 2 * levels["site-1"] > 2 * levels["site-3"] > levels["site-4"]
    planes = [case(site)[0].GetSpacing()[0] for site in ("site-1", "site-2", "site-4", "site-3")]
    assert planes == sorted(set(planes))


def test_one_hospital_shows_the_peripheral_zone_darker_than_fat_and_the_central_zone() -> None:
    peripheral, central, fat = (
        TISSUES[name].brightness for name in ("peripheral zone", "central zone", "fat")
    )
    assert [p > c for p, c in zip(peripheral, central, strict=True)] == [True, True, True, False]
    assert [p > f for p, f in zip(peripheral, fat, strict=True)].count(True) < len(HOSPITALS)


def test_the_endorectal_coil_makes_the_back_of_the_organ_brighter_than_its_front() -> None:
    voxels, organ = arrays("site-1")
    _, rows, _ = np.nonzero(organ)
    middle = int(np.median(rows))
    front, back = organ.copy(), organ.copy()
    front[:, middle:], back[:, :middle] = False, False
    assert voxels[back].mean() > 1.5 * voxels[front].mean()


def test_the_written_data_pass_the_data_check(written: Path) -> None:
    config = load_config(written)
    assert check_data(config).problems() == []
    assert config.preprocessing.spacing_mm == (1.25, 1.25, 3.0)
    assert config.preprocessing.patch_size == (96, 96, 16)
    assert config.training.foreground_fraction == 0.5
    text = written.read_text(encoding="utf-8")
    assert text.startswith("# A synthetic federation of male pelves: 1 sites of 3 cases, seed 4.\n")


def test_every_case_depends_only_on_the_seed_its_site_and_its_number(written: Path) -> None:
    parts = make_pelvis_case("site-1", np.random.default_rng([4, 0, 2]))
    for kind, part in zip(("images", "labels"), parts, strict=True):
        stored = sitk.ReadImage(str(written.parent / "site-1" / kind / "case-03.nii.gz"))
        assert np.array_equal(sitk.GetArrayFromImage(stored), sitk.GetArrayFromImage(part))
        assert stored.GetSpacing() == pytest.approx(part.GetSpacing())


@pytest.mark.parametrize(
    ("cases", "split"), [(3, [1, 1, 1]), (8, [4, 1, 3]), (16, [8, 2, 6]), (24, [12, 3, 9])]
)
def test_an_eighth_of_the_cases_validate_and_three_eighths_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cases: int, split: list[int]
) -> None:
    def touch(folder: Path, case_index: int, *_: object) -> None:
        for kind in ("images", "labels"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            (folder / kind / f"{case_index}.nii.gz").touch()

    module = "fedcross.training.data.phantom.pelvis.federation"
    monkeypatch.setattr(f"{module}.write_case", touch)
    monkeypatch.setattr(f"{module}.make_pelvis_case", lambda *_: (None, None))
    counts: list[tuple[int, int]] = []
    path = write_pelvis_federation(
        tmp_path / "f", cases=cases, seed=0, progress=lambda *done: counts.append(done)
    )
    found = find_all_cases(load_config(path))
    assert [[len(part) for part in site.names().values()] for site in found] == [[*split, 0]] * 4
    assert counts[-1] == (4 * cases, 4 * cases)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sites": 5}, "sites must be from 1 to 4, got 5."),
        ({"cases": 2}, "cases must be from 3 to 10000, got 2."),
        ({"seed": -1}, "seed must be from 0 to 9223372036854775807, got -1."),
    ],
)
def test_numbers_out_of_range_are_refused(
    tmp_path: Path, change: dict[str, int], message: str
) -> None:
    values = {"sites": 2, "cases": 3, "seed": 0, **change}
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        write_pelvis_federation(tmp_path / "f", **values)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_empty_is_refused(written: Path) -> None:
    with pytest.raises(OutputError, match="federation exists and is not empty"):
        write_pelvis_federation(written.parent, cases=3, seed=0)
