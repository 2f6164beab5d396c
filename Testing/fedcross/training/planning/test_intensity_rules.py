"""The rule for the intensity normalisation."""

import pytest

from fedcross.training.planning.figures import Intensities
from fedcross.training.planning.intensity_rules import choose_intensity
from fedcross.volumes.preprocessing import Preprocessing

FOREGROUND = Intensities(low=-100.1234567, high=300.0, mean=52.5, std=30.25)


@pytest.mark.parametrize("modality", ["CT", "ct"])
def test_ct_takes_the_window_of_the_labelled_voxels(modality: str) -> None:
    settings, _ = choose_intensity(modality, 1.0, 0.0, FOREGROUND)
    assert settings == {"intensity": "ct", "window": [-100.123, 300.0], "mean": 52.5, "std": 30.25}
    Preprocessing(spacing_mm=(1, 1, 1), patch_size=(16, 16, 16), **settings)


def test_a_volume_whose_background_was_set_to_0_takes_its_non_zero_voxels() -> None:
    assert choose_intensity("MR", 0.74, 0.0, FOREGROUND)[0] == {"intensity": "zscore-nonzero"}


@pytest.mark.parametrize("modality", ["MR", ""])
def test_other_volumes_take_all_voxels(modality: str) -> None:
    assert choose_intensity(modality, 0.75, 0.0, FOREGROUND)[0] == {"intensity": "zscore"}


def test_labelled_voxels_of_one_value_give_no_window() -> None:
    constant = Intensities(low=5, high=5, mean=5, std=0)
    assert choose_intensity("CT", 1.0, 0.0, constant)[0] == {"intensity": "zscore"}


def test_padding_is_clipped_half_a_percent_or_more_above_its_share() -> None:
    settings, reason = choose_intensity("MR", 0.7, 0.213, FOREGROUND)
    assert settings == {
        "intensity": "percentile",
        "percentiles": [22.0, 99.5],
    }  # 21.3 + 0.5 is 21.8
    assert "21.3%" in reason
    Preprocessing(spacing_mm=(1, 1, 1), patch_size=(16, 16, 16), **settings)
    assert choose_intensity("CT", 1.0, 0.213, FOREGROUND)[0]["intensity"] == "ct"


def test_percentiles_cannot_remove_padding_of_more_than_half_a_volume() -> None:
    assert choose_intensity("MR", 1.0, 0.51, FOREGROUND)[0] == {"intensity": "zscore"}
