"""The profile of a tiny federation: made, stored in a bundle, and used for new cases."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

import fedcross
from fedcross.calibration.labelled_cases import find_labelled_cases
from fedcross.calibration.profile import (
    MIN_VALIDATION,
    MeasuredCase,
    assemble,
    distance_moments,
    profile_of,
    property_names,
    score_moments,
    site_moments,
)
from fedcross.errors import DataError
from fedcross.infer.familiarity.assess import assess, score_limit
from fedcross.infer.results.summary import FamiliaritySummary, Summary
from fedcross.model.bundle import Bundle
from fedcross.runtime.reporting import NullReporter
from fedcross.uncertainty.moments import merge
from fedcross.volumes.region import Region
from tiny_federation import write_federation

CASES = 10


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Bundle]:
    """The configuration of two sites, and a bundle without a profile."""
    folder = tmp_path_factory.mktemp("familiar")
    config = write_federation(folder, cases=CASES, split=(3, 5, 2), rounds=1)
    fedcross.train(config, folder / "run", device="cpu")
    return config, fedcross.export(folder / "run", folder / "bundle")


@pytest.fixture(scope="module")
def profiled(plain: tuple[Path, Bundle]) -> Bundle:
    """The bundle with the profile of its training and validation cases."""
    config, bundle = plain
    out = bundle.path.parent / "profiled"
    made = fedcross.profile(bundle.path, config, out, backend="torch")
    profiled = fedcross.open_bundle(out)
    assert profiled.manifest.profile == made
    return profiled


@pytest.fixture(scope="module")
def image(plain: tuple[Path, Bundle]) -> sitk.Image:
    """An image of a test case."""
    config, bundle = plain
    case = find_labelled_cases(fedcross.load_config(config), bundle.manifest)[0]
    return sitk.Cast(sitk.ReadImage(str(case.files.image)), sitk.sitkFloat32)


def plainly_segmented(bundle: Bundle, image: sitk.Image, **options: Any) -> Summary:
    """Summary of a segmentation with the back-end that needs no compilation."""
    done = fedcross.segment(
        image, bundle, measures=(), probabilities=False, backend="torch", **options
    )
    return done.summary


def familiarity(bundle: Bundle, image: sitk.Image) -> FamiliaritySummary:
    found = plainly_segmented(bundle, image).familiarity
    assert found is not None
    return found


def like(array: np.ndarray, image: sitk.Image) -> sitk.Image:
    changed = sitk.GetImageFromArray(array.astype(np.float32))
    changed.CopyInformation(image)
    return changed


def test_a_bundle_without_a_profile_says_nothing(
    plain: tuple[Path, Bundle], image: sitk.Image
) -> None:
    found = plainly_segmented(plain[1], image)
    assert found.familiarity is None


def test_the_profile_counts_the_cases_of_every_site(profiled: Bundle) -> None:
    profile = profiled.manifest.profile
    assert profile is not None
    assert profile.counts == (8, 8)
    assert (profile.scored, profile.score_count) == ("validation", 10)
    names = [name for group in profile.groups for name in group.properties]
    assert {"spacing_x", "noise:0", "volume:1", "disagreement"} <= set(names)


def test_a_new_case_of_a_site_is_familiar(profiled: Bundle, image: sitk.Image) -> None:
    found = familiarity(profiled, image)
    assert found.score < found.limit
    assert not found.is_unusual
    assert found.reasons == ()
    assert found.false_alarm_rate == 0.05


def test_inverted_noisy_cropped_and_rescaled_images_are_unusual_with_a_reason(
    profiled: Bundle, image: sitk.Image
) -> None:
    values = sitk.GetArrayFromImage(image)
    noise = np.random.default_rng(0).normal(0, values.std(), values.shape)
    usual = familiarity(profiled, image).score
    scaled = sitk.Image(image)
    scaled.SetSpacing([1.5 * step for step in image.GetSpacing()])
    for changed, reason in (
        (like(-values, image), "contrast with the surroundings"),
        (like(values + noise, image), "noise"),
        (image[: image.GetSize()[0] // 2], "field of view along x 36 mm; the sites had 72 mm"),
        (scaled, "voxel size along "),
    ):
        found = familiarity(profiled, changed)
        assert found.is_unusual
        assert found.score > max(found.limit, 2 * usual)
        assert any(reason in each for each in found.reasons), found.reasons


def test_an_unusual_scan_is_reported_and_a_familiar_one_is_not(
    profiled: Bundle, image: sitk.Image
) -> None:
    class Lines(NullReporter):
        def __init__(self) -> None:
            self.found: list[str] = []

        def warning(self, message: str) -> None:
            self.found += [message] if message.startswith("This scan") else []

    lines = Lines()
    assert plainly_segmented(profiled, image, reporter=lines).warnings == ()
    assert lines.found == []
    summary = plainly_segmented(profiled, image[:18], reporter=lines)
    (line,) = lines.found
    assert summary.warnings[-1] == line
    assert line.startswith("This scan is unlike those of the training hospitals: field of view")


def test_a_calibration_with_another_temperature_leaves_the_profile_out(
    plain: tuple[Path, Bundle], profiled: Bundle, tmp_path: Path
) -> None:
    made = fedcross.calibrate(profiled.path, plain[0], tmp_path / "calibrated", backend="torch")
    assert made.temperature != profiled.manifest.calibration.temperature
    assert fedcross.open_bundle(tmp_path / "calibrated").manifest.profile is None


def test_with_a_region_of_interest_nothing_is_said(profiled: Bundle, image: sitk.Image) -> None:
    centre = image.TransformContinuousIndexToPhysicalPoint([n / 2 for n in image.GetSize()])
    box = Region(np.array(centre), np.full(3, 10.0), np.eye(3))
    found = plainly_segmented(profiled, image, roi=box)
    assert found.familiarity is None


def test_a_profile_with_an_unknown_property_says_nothing(profiled: Bundle) -> None:
    profile = profiled.manifest.profile
    assert profile is not None
    names = [name for group in profile.groups for name in group.properties]
    case = dict.fromkeys(names, 0.0)
    assert assess(case, profiled.manifest) is not None
    del case[names[-1]]
    assert assess(case, profiled.manifest) is None


def drawn(site: str, part: str, seed: int) -> MeasuredCase:
    noise, slope = np.random.default_rng(seed).normal(size=2)
    return MeasuredCase(site, part, {"noise:0": noise, "roughness_x_1:0": slope, "spacing_x": 0.0})


def test_sites_that_send_moments_only_get_the_profile_of_all_cases_together() -> None:
    sites = [
        [drawn(f"s{site}", "train", 10 * site + case) for case in range(count)]
        for site, count in enumerate((6, 3, 4))
    ]
    names = property_names(sites[0][0])
    moments = [site_moments(cases, names) for cases in sites]
    distances = merge(distance_moments(moments, own, sites[own], names) for own in (2, 0, 1))
    scores = merge(score_moments(moments, distances, own, sites[own], names) for own in (1, 2, 0))
    apart = assemble(names, moments, distances, scores, only_validation=False)
    together = profile_of([case for cases in sites for case in cases])
    assert apart.counts == together.counts == (6, 3, 4)
    for one, other in zip(apart.groups, together.groups, strict=True):
        assert one.scale == pytest.approx(other.scale, rel=1e-9)
        assert one == other.model_copy(update={"scale": one.scale})
    assert score_limit(apart) == pytest.approx(score_limit(together), rel=1e-9)
    assert together.scored == "all"


def test_the_limit_is_of_the_validation_cases_if_there_are_enough() -> None:
    cases = [drawn("s", "train", seed) for seed in range(10)]
    cases += [drawn("s", "validation", 50 + seed) for seed in range(MIN_VALIDATION)]
    assert profile_of(cases).score_count == MIN_VALIDATION
    fewer = profile_of(cases[:-1])
    assert (fewer.scored, fewer.score_count) == ("all", len(cases) - 1)


def test_identical_cases_give_a_finite_profile() -> None:
    one = drawn("s", "train", 0)
    profile = profile_of([replace(one, site=f"s{index % 2}") for index in range(8)])
    assert math.isfinite(score_limit(profile))


def test_sites_of_identical_cases_do_not_raise_the_limit_without_bound() -> None:
    cases = [drawn("s", "validation", seed) for seed in range(20)]
    alone = score_limit(profile_of(cases))
    same = drawn("t", "validation", 0)
    mixed = score_limit(profile_of([*cases, *[same] * 20]))
    assert mixed < 5 * alone


def test_too_few_cases_are_an_error() -> None:
    with pytest.raises(DataError, match="at least 5 cases, got 4"):
        profile_of([drawn("s", "train", seed) for seed in range(4)])


def test_the_scores_of_a_site_without_scored_cases_are_empty_moments() -> None:
    cases = [drawn("s", "train", seed) for seed in range(5)]
    names = property_names(cases[0])
    moments = [site_moments(cases, names)]
    distances = distance_moments(moments, 0, cases, names)
    assert distances.count == 5
    nothing = distance_moments(moments, 0, [], names)
    assert merge([nothing, distances]).mean.tolist() == distances.mean.tolist()
    assert score_moments(moments, distances, 0, [], names).count == 0
