"""The calibration in a bundle's manifest."""

import json
from typing import Any

import pytest

from fedcross.errors import BundleError
from fedcross.model.bundle import Bundle, hash_manifest
from fedcross.model.calibration import Calibration
from fedcross.model.calibration_text import describe_calibration
from fedcross.model.card import render_model_card
from fedcross.model.manifest import Manifest
from fedcross.model.metadata import check_manifest
from fedcross.model.monai_files import build_inference_config

FULL: dict[str, Any] = {
    "temperature": 1.5,
    "cases": 40,
    "sites": 4,
    "pooling": "shrunk",
    "structures": [
        {
            "name": "Prostate",
            "cases": 40,
            "sites": 4,
            "predicted_dice": {"intercept": -0.2, "slope": 1.1, "error": 0.05},
            "volume": {"coverage": 0.9, "below": 1.2, "above": 2.4},
            "contours": [
                {"alpha": 0.05, "inner": 4.0, "outer": 3.0},
                {"alpha": 0.1, "inner": None, "outer": 1.5},
            ],
        }
    ],
}


def fields(bundle: Bundle, calibration: Any) -> dict[str, Any]:
    name = bundle.manifest.structures[0].name
    text = json.dumps(calibration).replace("Prostate", name)
    return {**bundle.manifest.model_dump(mode="json"), "calibration": json.loads(text)}


def calibrated(bundle: Bundle) -> Manifest:
    return check_manifest(fields(bundle, FULL))


def test_a_full_calibration_is_read_as_it_was_written(bundle: Bundle) -> None:
    manifest = calibrated(bundle)
    assert check_manifest(manifest.model_dump(mode="json")) == manifest
    found = manifest.calibration.of(manifest.structures[0].name)
    assert found is not None
    assert found.volume is not None
    assert found.volume.above == 2.4
    assert manifest.calibration.of("Nothing") is None


def test_a_bundle_without_calibration_has_the_identity_that_it_had(bundle: Bundle) -> None:
    plain = bundle.manifest
    assert plain.model_dump(mode="json")["calibration"] == {"temperature": 1.0}
    old = check_manifest(fields(bundle, {"temperature": 1.0}))
    assert hash_manifest(old) == hash_manifest(plain) == bundle.sha256
    assert hash_manifest(calibrated(bundle)) != bundle.sha256
    assert describe_calibration(plain.calibration) == []


def edit(*path: Any, value: Any) -> dict[str, Any]:
    record = json.loads(json.dumps(FULL))
    inner = record
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return record


@pytest.mark.parametrize(
    "calibration",
    [
        edit("temperature", value=0),
        edit("temperature", value=float("nan")),
        edit("cases", value=-1),
        edit("cases", value=10**12),
        edit("cases", value=3),  # fewer than sites
        edit("pooling", value="guess"),
        edit("structures", value=[FULL["structures"][0]] * 2),
        edit("structures", 0, "name", value="Liver"),
        edit("structures", 0, "cases", value=1),
        edit("structures", 0, "predicted_dice", "error", value=1.5),
        edit("structures", 0, "predicted_dice", "slope", value=-0.1),
        edit("structures", 0, "predicted_dice", "intercept", value=float("inf")),
        edit("structures", 0, "volume", "coverage", value=1.0),
        edit("structures", 0, "volume", "below", value=-1),
        edit("structures", 0, "volume", "above", value=1e6),
        edit("structures", 0, "contours", 0, "alpha", value=0),
        edit("structures", 0, "contours", 0, "alpha", value=0.2),  # not rising
        edit("structures", 0, "contours", 0, "inner", value=-1),
        edit("structures", 0, "contours", 0, "outer", value=1e9),
        edit("structures", 0, "contours", value=[{"alpha": (k + 1) / 100} for k in range(50)]),
        edit("structures", 0, "extra", value=1),
    ],
)
def test_a_hostile_calibration_is_refused_in_one_line(bundle: Bundle, calibration: Any) -> None:
    with pytest.raises(BundleError, match="calibration") as refused:
        check_manifest(fields(bundle, calibration))
    assert "\n" not in refused.value.message


def test_the_model_card_shows_the_calibration(bundle: Bundle) -> None:
    card = render_model_card(calibrated(bundle))
    assert "| Calibration | 40 cases of 4 sites; holds for these sites; there are too few" in card
    assert "contours 5 %: inner 4.0 mm, outer 3.0 mm; contours 10 %: outer 1.5 mm" in card
    assert "## Calibration" not in render_model_card(bundle.manifest)


def test_one_site_says_nothing_about_others() -> None:
    one = Calibration.model_validate({**FULL, "sites": 1, "structures": FULL["structures"]})
    assert "for cases like those of this one site" in describe_calibration(one)[0][1]


def test_monais_runner_uses_the_temperature(bundle: Bundle) -> None:
    assert "temperature" not in build_inference_config(bundle.manifest)["network_def"]
    assert build_inference_config(calibrated(bundle))["network_def"]["temperature"] == 1.5
