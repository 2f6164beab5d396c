"""The rule for the intensity normalisation."""

import pytest

from fedcross.training.planning.figures import Intensities
from fedcross.training.planning.intensity_rules import choose_intensity
from fedcross.volumes.preprocessing import Preprocessing

FOREGROUND = Intensities(low=-100.1234567, high=300.0, mean=52.5, std=30.25)


@pytest.mark.parametrize("modality", ["CT", "ct"])
def test_ct_takes_the_window_of_the_labelled_voxels(modality: str) -> None:
    settings, _ = choose_intensity(modality, 1.0, FOREGROUND)
    assert settings == {"intensity": "ct", "window": [-100.123, 300.0], "mean": 52.5, "std": 30.25}
    Preprocessing(spacing_mm=(1, 1, 1), patch_size=(16, 16, 16), **settings)


def test_a_volume_whose_background_was_set_to_0_takes_its_non_zero_voxels() -> None:
    assert choose_intensity("MR", 0.74, FOREGROUND)[0] == {"intensity": "zscore-nonzero"}


@pytest.mark.parametrize("modality", ["MR", ""])
def test_other_volumes_take_all_voxels(modality: str) -> None:
    assert choose_intensity(modality, 0.75, FOREGROUND)[0] == {"intensity": "zscore"}


def test_labelled_voxels_of_one_value_give_no_window() -> None:
    assert choose_intensity("CT", 1.0, Intensities(low=5, high=5, mean=5, std=0))[0] == {
        "intensity": "zscore"
    }
