"""`fedcross data phantom`: what is written, how it differs with the dial, and what is refused."""

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from fedcross.errors import ConfigError, OutputError
from fedcross.train.config.configuration import load_config
from fedcross.train.data.check.check import check_data
from fedcross.train.data.phantom.federation import write_phantom_federation
from fedcross.train.data.phantom.styles import MEAN_STYLE
from fedcross.train.data.phantom.volumes import make_case
from fedcross.train.data.sites import find_all_cases


def written(folder: Path, *, shift: float = 1.0, seed: int = 3, cases: int = 3) -> Path:
    return write_phantom_federation(folder, sites=4, cases=cases, shift=shift, seed=seed)


@pytest.fixture(scope="module")
def iid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("iid") / "federation", shift=0.0)


@pytest.fixture(scope="module")
def shifted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("shifted") / "federation")


@cache
def measured(config: Path) -> list[dict[str, float]]:
    """By site, what a person would measure in its volumes: means over its cases."""
    found = []
    for site in load_config(config).sites:
        cases = []
        for path in sorted((config.parent / str(site.images)).iterdir()):
            image = sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS")
            label = sitk.ReadImage(str(config.parent / str(site.labels) / path.name))
            voxels = sitk.GetArrayFromImage(image).astype(float)
            organ = sitk.GetArrayFromImage(sitk.DICOMOrient(label, "LPS")) == 1
            _, y, x = voxels.shape
            corner = voxels[:, : y // 12 + 1, : x // 12 + 1]  # outside of the body
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
    """Largest over smallest of the sites' means."""
    values = [site[what] for site in measured(config)]
    return max(values) / min(values)


def test_without_shift_the_sites_look_alike(iid: Path) -> None:
    for what in ("plane_mm", "slice_mm", "field_mm"):
        assert spread(iid, what) == 1.0
    assert spread(iid, "unit") < 1.1
    assert spread(iid, "noise") < 1.1
    assert spread(iid, "volume_ml") < 1.6  # patients differ
    assert all(site["contrast"] > 0 for site in measured(iid))


def test_at_full_shift_the_sites_differ_in_what_a_person_measures(shifted: Path) -> None:
    for what, least in (
        ("plane_mm", 1.3),
        ("slice_mm", 1.5),
        ("field_mm", 1.15),
        ("unit", 8.0),
        ("noise", 1.8),
        ("volume_ml", 1.8),
    ):
        assert spread(shifted, what) > least, what
    contrasts = [site["contrast"] for site in measured(shifted)]
    assert sum(contrast < 0 for contrast in contrasts) == 1  # another sequence: dark for bright


def test_halfway_they_differ_by_less(shifted: Path, tmp_path: Path) -> None:
    half = written(tmp_path / "half", shift=0.5)
    for what in ("plane_mm", "slice_mm", "unit", "noise"):
        assert 1 < spread(half, what) < spread(shifted, what), what


def test_the_same_seed_writes_the_same_bytes(shifted: Path, tmp_path: Path) -> None:
    again, other = written(tmp_path / "again"), written(tmp_path / "other", seed=4)

    def contents(config: Path) -> dict[str, bytes]:
        files = (path for path in config.parent.rglob("*") if path.is_file())
        return {str(path.relative_to(config.parent)): path.read_bytes() for path in files}

    assert contents(again) == contents(shifted)
    assert contents(other).keys() == contents(shifted).keys()
    assert not set(contents(other).values()) & set(contents(shifted).values())


def test_what_is_written_passes_the_data_check(shifted: Path) -> None:
    report = check_data(load_config(shifted))
    assert report.problems() == []
    assert [site.count(part) for site in report.sites for part in ("train", "test")] == [1, 1] * 4


@pytest.mark.parametrize(
    ("cases", "split"), [(3, [1, 1, 1]), (8, [5, 1, 2]), (20, [13, 2, 5]), (24, [15, 3, 6])]
)
def test_an_eighth_validates_and_a_quarter_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cases: int, split: list[int]
) -> None:
    def touch(folder: Path, *, cases_per_site: int, **_: object) -> None:
        for kind in ("images", "labels"):
            (folder / "site-1" / kind).mkdir(parents=True)
            for number in range(cases_per_site):
                (folder / "site-1" / kind / f"{number}.nii.gz").touch()

    monkeypatch.setattr("fedcross.train.data.phantom.federation.write_synthetic_federation", touch)
    path = write_phantom_federation(tmp_path / "f", sites=1, cases=cases, shift=1.0, seed=0)
    (found,) = find_all_cases(load_config(path))
    assert [len(part) for part in found.names().values()] == [*split, 0]


def test_the_configuration_says_how_it_was_made_and_how_to_train_it(shifted: Path) -> None:
    text = shifted.read_text(encoding="utf-8")
    assert text.startswith("# A synthetic federation: 4 sites of 3 cases, shift 1, seed 3.\n")
    assert "fedcross train phantom.toml --out RUN" in text
    config = load_config(shifted)
    assert (config.seed, config.members) == (3, 4)
    assert config.method.rounds % 4 == 0
    assert config.training.optimizer == "adamw"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sites": 0}, "sites must be from 1 to 1024, got 0."),
        ({"cases": 2}, "cases must be from 3 to 10000, got 2."),
        ({"shift": -0.1}, "shift must be from 0 to 3, got -0.1."),
        ({"shift": float("nan")}, "shift must be from 0 to 3, got nan."),
        ({"seed": -1}, "seed must be from 0 to 9223372036854775807, got -1."),
    ],
)
def test_numbers_out_of_range_are_refused(
    tmp_path: Path, change: dict[str, float], says: str
) -> None:
    values = {"sites": 2, "cases": 3, "shift": 1.0, "seed": 0, **change}
    with pytest.raises(ConfigError, match=f"^{re.escape(says)}$"):
        write_phantom_federation(tmp_path / "f", **values)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "thesis.tex").touch()
    (tmp_path / "file").touch()
    for taken in ("f", "file"):
        with pytest.raises(OutputError, match=f"{taken} is there already and not empty"):
            written(tmp_path / taken)
    assert [path.name for path in (tmp_path / "f").iterdir()] == ["thesis.tex"]


def test_an_interrupted_federation_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_phantom_federation(tmp_path / "f", sites=1, cases=3, shift=1.0, seed=0, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("itk::NiftiImageIO: write failed")

    monkeypatch.setattr(sitk, "WriteImage", full)
    with pytest.raises(OutputError, match=r"case-01\.nii\.gz cannot be written. Check the folder"):
        written(tmp_path / "f")
    assert list(tmp_path.iterdir()) == []


def test_a_scanner_saturates_where_a_number_would_wrap_round() -> None:
    loud = replace(MEAN_STYLE, gain=30000.0)
    image, mask = make_case(loud, np.random.default_rng(0))
    voxels, organ = sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(mask) == 1
    assert np.median(voxels[organ]) == np.iinfo(np.int16).max
    assert voxels[organ].min() > 0
