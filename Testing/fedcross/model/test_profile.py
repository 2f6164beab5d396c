"""The profile in a manifest is bounded, and a manifest without one stays as it was."""

from typing import Any

import pytest

from fedcross.errors import BundleError
from fedcross.model.metadata import check_manifest
from fedcross.model.profile import MAX_PROPERTIES

PROFILE: dict[str, Any] = {
    "counts": [4, 6],
    "groups": [
        {
            "properties": ["spacing_x", "noise:0"],
            "means": [[0.1, -2.0], [0.3, -1.0]],
            "covariance": [1.0, 0.5, 2.0],
            "scale": 1.5,
        }
    ],
    "score_count": 10,
    "score_mean": -0.1,
    "score_deviation": 0.2,
    "scored": "validation",
}


def manifest(profile: dict[str, Any] | None) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "name": "Tiny",
        "architecture": {"name": "unet", "base_channels": 2, "classes": 2, "norm": "batch"},
        "preprocessing": {"spacing_mm": [1, 1, 1], "patch_size": [16, 16, 16]},
        "structures": [{"name": "Blob", "label": 1}],
        "members": [{"file": "models/member_0.safetensors", "sha256": "0" * 64}],
        "provenance": {"created": "2026-01-31"},
    }
    return fields if profile is None else {**fields, "profile": profile}


def group(**changes: Any) -> dict[str, Any]:
    return {"groups": [{**PROFILE["groups"][0], **changes}]}


def test_a_manifest_without_a_profile_records_none() -> None:
    read = check_manifest(manifest(None))
    assert read.profile is None
    assert "profile" not in read.model_dump(mode="json")


def test_a_profile_is_read_and_written() -> None:
    read = check_manifest(manifest(PROFILE))
    assert read.profile is not None
    assert read.profile.false_alarm_rate == 0.05
    assert check_manifest(read.model_dump(mode="json")) == read


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"counts": [4]}, "means of 1 sites"),
        ({"counts": [0, 6]}, "greater than or equal to 1"),
        ({"counts": []}, "at least 1 item"),
        ({"score_count": 4}, "greater than or equal to 5"),
        ({"score_mean": float("nan")}, "finite"),
        ({"score_deviation": 1e300}, "less than or equal to 5"),
        ({"false_alarm_rate": 0}, "greater than or equal to 0.001"),
        ({"scored": "test"}, "validation"),
        ({"groups": []}, "at least 1 item"),
        ({"extra": 1}, "not permitted"),
        ({"groups": PROFILE["groups"] * 2}, "same property"),
        (group(covariance=[1.0, 0.5]), "need 3 covariances, got 2"),
        (group(covariance=[1.0, 2.0, 2.0]), "correlation is above 1"),
        (group(covariance=[-1.0, 0.0, 2.0]), "must not be below 0"),
        (group(covariance=[float("inf"), 0.5, 2.0]), "finite"),
        (group(scale=0), "greater than or equal to 0.01"),
        (group(scale=float("inf")), "finite"),
        (group(means=[[0.1], [0.3]]), "must have 2 means"),
        (group(means=[[1e9, 0], [0, 0]]), "less than or equal to 1000000"),
        (group(properties=["noise:0", "noise:0"]), "same name"),
        (group(properties=["<b>", "noise:0"]), "match pattern"),
        (group(properties=[f"p{n}" for n in range(MAX_PROPERTIES + 1)]), "at most 64 items"),
    ],
)
def test_a_hostile_profile_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        check_manifest(manifest({**PROFILE, **changes}))
