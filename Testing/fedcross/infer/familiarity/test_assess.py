"""A case against a profile written by hand: score, limit, and reasons in words."""

import math

import numpy as np
import pytest

from fedcross.infer.familiarity.assess import assess, familiar_cases, score_limit
from fedcross.model.architecture import UNetArchitecture
from fedcross.model.manifest import Manifest
from fedcross.model.profile import Profile

PROFILE = Profile.model_validate(
    {
        "counts": [4, 9],
        "groups": [
            {
                "properties": ["spacing_x", "spacing_y"],
                "means": [[0.0, 0.0], [math.log(2), 0.0]],
                "covariance": [0.0, 0.0, 0.0],
                "scale": 2.0,
            },
            {
                "properties": ["noise:0", "skewness:0"],
                "means": [[-2.0, 1.0], [-1.0, 1.0]],
                "covariance": [0.04, 0.01, 0.25],
                "scale": 1.0,
            },
        ],
        "score_count": 5,
        "score_mean": 0.0,
        "score_deviation": math.sqrt(2.5),
        "scored": "all",
    }
)
USUAL = {"spacing_x": 0.0, "spacing_y": 0.0, "noise:0": -2.0, "skewness:0": 1.0}


def manifest(profile: Profile | None) -> Manifest:
    return Manifest.model_validate(
        {
            "name": "Tiny",
            "architecture": UNetArchitecture(base_channels=2, classes=2, norm="batch"),
            "preprocessing": {"spacing_mm": (1, 1, 1), "patch_size": (16, 16, 16)},
            "structures": [{"name": "Blob", "label": 1}],
            "members": [{"file": "models/member_0.safetensors", "sha256": "0" * 64}],
            "provenance": {"created": "2026-01-31"},
            "profile": profile,
        }
    )


def test_a_profile_is_read_as_arrays() -> None:
    known = familiar_cases(PROFILE)
    assert known.counts.tolist() == [4, 9]
    assert known.means[1].tolist() == [math.log(2), 0, -1, 1]
    assert known.covariance[2:, 2:].tolist() == [[0.04, 0.01], [0.01, 0.25]]
    assert [group.tolist() for group in known.groups] == [[0, 1], [2, 3]]


def test_score_and_limit_by_hand() -> None:
    # Student's 95 % quantile for 4 degrees of freedom is 2.1318; n = 5.
    assert score_limit(PROFILE) == pytest.approx(math.exp(2.131847 * math.sqrt(2.5 * 1.2)))
    case = USUAL | {"spacing_x": math.log(1.1)}
    found = assess(case, manifest(PROFILE))
    assert found is not None
    # No correlation and no spread: the floor of 0.05; two properties; four cases; the scale 2.
    assert found.score == pytest.approx(math.log(1.1) / 0.05 / math.sqrt(2 * (1 + 1 / 4)) / 2)
    assert not found.is_unusual
    assert found.reasons == ()


def test_reasons_name_the_geometry_first_and_say_what_the_sites_had() -> None:
    far = {"spacing_x": math.log(8), "spacing_y": 0.0, "noise:0": 30.0, "skewness:0": -40.0}
    found = assess(far, manifest(PROFILE))
    assert found is not None
    assert found.is_unusual
    assert found.reasons == (
        "voxel size along x 8 mm; the sites had 1 to 2 mm",
        "noise 1.07e+13 standard deviations; the sites had 0.0907 to 0.549 standard deviations",
        "skewness of the intensities -40.00; the sites had 0.00 to 2.00",
    )


def test_a_property_between_two_sites_is_called_an_unusual_combination() -> None:
    sharp = PROFILE.model_copy(update={"score_deviation": 0.1})
    found = assess(USUAL | {"spacing_x": math.log(1.4)}, manifest(sharp))
    assert found is not None
    assert found.is_unusual
    assert found.reasons == (
        "unusual combination of properties: voxel size along x, voxel size along y",
    )


def test_without_a_profile_or_a_property_nothing_is_said() -> None:
    assert assess(USUAL, manifest(None)) is None
    fewer = {name: value for name, value in USUAL.items() if name != "noise:0"}
    assert assess(fewer, manifest(PROFILE)) is None


@pytest.mark.parametrize("value", [1e6, -1e6])
def test_the_largest_numbers_of_a_profile_give_finite_figures(value: float) -> None:
    wild = PROFILE.model_dump(mode="json")
    wild["groups"][1] |= {"means": [[value] * 2] * 2, "covariance": [0.0] * 3, "scale": 0.01}
    wild |= {"score_mean": 20, "score_deviation": 5, "false_alarm_rate": 0.001}
    case = {"spacing_x": 0.0, "spacing_y": 0.0, "noise:0": -value, "skewness:0": -value}
    found = assess(case, manifest(Profile.model_validate(wild)))
    assert found is not None
    assert np.isfinite([found.score, found.limit]).all()
