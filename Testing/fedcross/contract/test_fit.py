"""Reasons why a volume does not fit a bundle."""

import numpy as np
import pytest

from fedcross.contract.fit import (
    Intensities,
    Wanted,
    extent_warnings,
    intensity_warnings,
    measure_intensities,
    same_volume_warning,
    spacing_warnings,
)

WANTED = Wanted(spacing_mm=(1, 1, 2), patch_size=(64, 64, 16))


def scan(low: float, high: float, shape: tuple[int, ...] = (12, 40, 40)) -> np.ndarray:
    return np.random.default_rng(0).integers(low, high, shape).astype(np.int16)


def intensity(voxels: np.ndarray, modality: str = "", wanted: str = "MR") -> list[str]:
    return intensity_warnings(
        measure_intensities(voxels), modality, wanted, is_clipped=wanted == "CT"
    )


def test_a_spacing_off_by_more_than_a_factor_of_four_is_named_with_both():
    assert spacing_warnings((0.26, 4, 2), WANTED) == []
    assert spacing_warnings((1, 1, 8.1), WANTED) == [
        "The voxels measure 1 x 1 x 8.1 mm, but the bundle was trained at 1 x 1 x 2 mm."
    ]
    assert spacing_warnings((1, 1, 8.1), Wanted((1, 1, 0), (64, 64, 16))) == []


def test_less_than_half_a_patch_and_a_single_slice_are_named():
    assert extent_warnings((32, 32, 8), (1, 1, 2), WANTED) == []
    (warning,) = extent_warnings((32, 31, 8), (1, 1, 2), WANTED)
    assert "covers 32 x 31 x 16 mm, but one patch of the networks covers 64 x 64 x 32 mm" in warning
    assert "single slice" in extent_warnings((64, 64, 1), (1, 1, 2), WANTED)[0]


def test_a_ct_on_an_mr_bundle_and_a_constant_volume_are_named():
    assert intensity(scan(0, 500)) == []
    ct = scan(-1024, 2000)
    assert intensity(ct) == ["The volume looks like CT, but the bundle was trained on MR."]
    assert intensity(ct, wanted="CT") == intensity(ct, wanted="") == intensity(ct, "MR") == []
    assert "PT" in intensity(ct, "PT")[0]
    assert intensity(np.full((3, 3, 3), 7)) == ["All voxels have the same value, 7."]


def test_one_other_voxel_of_a_large_volume_is_not_a_constant_volume():
    voxels = np.zeros((128, 128, 130), np.uint8)
    voxels[1, 1, 1] = 1  # not among the voxels that are sampled
    assert measure_intensities(voxels) == Intensities(0, 1)


@pytest.mark.parametrize("padding", [-2000, -32768])
@pytest.mark.parametrize("share", [0.05, 0.4])
def test_padding_far_below_all_other_values_is_named(padding, share):
    voxels = scan(-1024, 1500)
    voxels[:, : round(40 * share)] = padding
    (warning,) = intensity(voxels, wanted="CT-like")[:1]
    assert warning.startswith(f"The lowest value, {padding}, is far from all others")
    assert intensity(voxels, wanted="CT") == []  # clipped to a window
    assert measure_intensities(voxels).padding_share == pytest.approx(share)


def test_background_of_zero_or_next_to_the_other_values_is_not_padding():
    stripped = scan(200, 1000)
    stripped[:, :20] = 0
    assert measure_intensities(stripped).padding is None
    air = scan(-1000, 1500)
    air[:, :20] = -1024
    assert measure_intensities(air).padding is None


def test_sentences_are_translated_before_numbers_are_put_in():
    def shout(text: str) -> str:
        return text.upper().replace("{FIRST}", "{first}").replace("{SECOND}", "{second}")

    assert same_volume_warning("T2", "ADC", shout) == "T2 AND ADC ARE THE SAME VOLUME."
