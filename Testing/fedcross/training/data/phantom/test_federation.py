"""The synthetic federation: its files, how the sites differ with `shift`, and invalid arguments."""

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from fedcross.errors import ConfigError, OutputError
from fedcross.training.config.file import load_config
from fedcross.training.data.check.federation import check_data
from fedcross.training.data.phantom.federation import write_phantom_federation
from fedcross.training.data.phantom.styles import MEAN_STYLE
from fedcross.training.data.phantom.volumes import make_case
from fedcross.training.data.sites import find_all_cases


def write(folder: Path, *, shift: float = 1.0, seed: int = 3, cases: int = 3) -> Path:
    return write_phantom_federation(folder, sites=4, cases=cases, shift=shift, seed=seed)


@pytest.fixture(scope="module")
def iid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("iid") / "federation", shift=0.0)


@pytest.fixture(scope="module")
def shifted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("shifted") / "federation")


@cache
def measure(config: Path) -> list[dict[str, float]]:
    """Figures of every site's volumes, as means over its cases."""
    found = []
    for site in load_config(config).sites:
        cases = []
        for path in sorted((config.parent / str(site.images)).iterdir()):
            image = sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS")
            label = sitk.ReadImage(str(config.parent / str(site.labels) / path.name))
            voxels = sitk.GetArrayFromImage(image).astype(float)
            organ = sitk.GetArrayFromImage(sitk.DICOMOrient(label, "LPS")) == 1
            _, y, x = voxels.shape
            corner = voxels[:, : y // 12 + 1, : x // 12 + 1]  # outside the body
            around = ndimage.binary_dilation(organ, iterations=2) & ~organ
            span = np.ptp(np.percentile(voxels, (1, 99)))
            cases.append(
                {
                    "plane_mm": image.GetSpacing()[0],
                    "slice_mm": image.GetSpacing()[2],
                    "field_mm": image.GetSpacing()[0] * x,
                    "unit": span,
                    "noise": corner.std() / span,
                    "contrast": (voxels[organ].mean() - voxels[around].mean()) / span,
                    "volume_ml": organ.sum() * np.prod(image.GetSpacing()) / 1000,
                }
            )
        found.append({key: float(np.mean([case[key] for case in cases])) for key in cases[0]})
    return found


def spread(config: Path, what: str) -> float:
    """The ratio of the largest to the smallest of the sites' means."""
    values = [site[what] for site in measure(config)]
    return max(values) / min(values)


def test_with_shift_0_the_sites_have_equal_properties(iid: Path) -> None:
    for what in ("plane_mm", "slice_mm", "field_mm"):
        assert spread(iid, what) == 1.0
    assert spread(iid, "unit") < 1.1
    assert spread(iid, "noise") < 1.1
    assert spread(iid, "volume_ml") < 1.6  # patients differ
    assert all(site["contrast"] > 0 for site in measure(iid))


def test_with_shift_1_the_sites_differ_in_every_measured_property(shifted: Path) -> None:
    for what, least in (
        ("plane_mm", 1.3),
        ("slice_mm", 1.5),
        ("field_mm", 1.15),
        ("unit", 8.0),
        ("noise", 1.8),
        ("volume_ml", 1.8),
    ):
        assert spread(shifted, what) > least, what
    contrasts = [site["contrast"] for site in measure(shifted)]
    assert sum(contrast < 0 for contrast in contrasts) == 1  # the inverted site


def test_with_shift_one_half_the_sites_differ_less(shifted: Path, tmp_path: Path) -> None:
    half = write(tmp_path / "half", shift=0.5)
    for what in ("plane_mm", "slice_mm", "unit", "noise"):
        assert 1 < spread(half, what) < spread(shifted, what), what


def test_the_same_seed_writes_the_same_bytes(shifted: Path, tmp_path: Path) -> None:
    again, other = write(tmp_path / "again"), write(tmp_path / "other", seed=4)

    def contents(config: Path) -> dict[str, bytes]:
        files = (path for path in config.parent.rglob("*") if path.is_file())
        return {str(path.relative_to(config.parent)): path.read_bytes() for path in files}

    assert contents(again) == contents(shifted)
    assert contents(other).keys() == contents(shifted).keys()
    assert not set(contents(other).values()) & set(contents(shifted).values())


def test_the_written_data_pass_the_data_check(shifted: Path) -> None:
    report = check_data(load_config(shifted))
    assert report.problems() == []
    assert [site.count(part) for site in report.sites for part in ("train", "test")] == [1, 1] * 4


@pytest.mark.parametrize(
    ("cases", "split"), [(3, [1, 1, 1]), (8, [5, 1, 2]), (20, [13, 2, 5]), (24, [15, 3, 6])]
)
def test_an_eighth_of_the_cases_validate_and_a_quarter_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cases: int, split: list[int]
) -> None:
    def touch(folder: Path, *, cases_per_site: int, **_: object) -> None:
        for kind in ("images", "labels"):
            (folder / "site-1" / kind).mkdir(parents=True)
            for number in range(cases_per_site):
                (folder / "site-1" / kind / f"{number}.nii.gz").touch()

    monkeypatch.setattr(
        "fedcross.training.data.phantom.federation.write_synthetic_federation", touch
    )
    path = write_phantom_federation(tmp_path / "f", sites=1, cases=cases, shift=1.0, seed=0)
    (found,) = find_all_cases(load_config(path))
    assert [len(part) for part in found.names().values()] == [*split, 0]


def test_the_configuration_begins_with_its_parameters_and_the_command_to_train(
    shifted: Path,
) -> None:
    text = shifted.read_text(encoding="utf-8")
    assert text.startswith("# A synthetic federation: 4 sites of 3 cases, shift 1, seed 3.\n")
    assert "fedcross train phantom.toml --out RUN" in text
    config = load_config(shifted)
    assert (config.seed, config.members) == (3, 4)
    assert config.method.rounds % 4 == 0
    assert config.training.optimizer == "adamw"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sites": 0}, "sites must be from 1 to 1024, got 0."),
        ({"cases": 2}, "cases must be from 3 to 10000, got 2."),
        ({"shift": -0.1}, "shift must be from 0 to 3, got -0.1."),
        ({"shift": float("nan")}, "shift must be from 0 to 3, got nan."),
        ({"seed": -1}, "seed must be from 0 to 9223372036854775807, got -1."),
    ],
)
def test_numbers_out_of_range_are_refused(
    tmp_path: Path, change: dict[str, float], message: str
) -> None:
    values = {"sites": 2, "cases": 3, "shift": 1.0, "seed": 0, **change}
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        write_phantom_federation(tmp_path / "f", **values)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_empty_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "thesis.tex").touch()
    (tmp_path / "file").touch()
    for taken in ("f", "file"):
        with pytest.raises(OutputError, match=f"{taken} exists and is not empty"):
            write(tmp_path / taken)
    assert [path.name for path in (tmp_path / "f").iterdir()] == ["thesis.tex"]


def test_an_interruption_leaves_no_files(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_phantom_federation(tmp_path / "f", sites=1, cases=3, shift=1.0, seed=0, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_write_error_is_reported_and_leaves_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("itk::NiftiImageIO: write failed")

    monkeypatch.setattr(sitk, "WriteImage", full)
    with pytest.raises(OutputError, match=r"case-01\.nii\.gz cannot be written. Check the folder"):
        write(tmp_path / "f")
    assert list(tmp_path.iterdir()) == []


def test_intensities_beyond_int16_are_clipped() -> None:
    saturated = replace(MEAN_STYLE, gain=30000.0)
    image, mask = make_case(saturated, np.random.default_rng(0))
    voxels, organ = sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(mask) == 1
    assert np.median(voxels[organ]) == np.iinfo(np.int16).max
    assert voxels[organ].min() > 0
