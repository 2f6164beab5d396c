"""Reasons why a volume does not fit a bundle."""

import numpy as np
import pytest

from fedcross.contract.fit import (
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
        measure_intensities(voxels),
        modality,
        wanted,
        intensity="ct" if wanted == "CT" else "zscore",
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
    found = measure_intensities(voxels)
    assert (found.low, found.high) == (0, 1)


@pytest.mark.parametrize("padding", [-2000, -32768])
@pytest.mark.parametrize("share", [0.05, 0.4])
def test_padding_far_below_all_other_values_is_named(padding, share):
    voxels = scan(-1024, 1500)
    voxels[:, : round(40 * share)] = padding
    (warning,) = intensity(voxels, wanted="CT-like")[:1]
    assert warning.startswith(f"The lowest value, {padding}, is far from all others")
    assert intensity(voxels, wanted="CT") == []  # clipped to a window
    assert measure_intensities(voxels).padding_share == pytest.approx(share)


def with_one_voxel(value: float) -> np.ndarray:
    """Half of 20,000 voxels are -1 and half 1; one of them is replaced. Mean about 0, deviation 1."""
    voxels = np.ones((20, 10, 100), np.float32)
    voxels[:, :, ::2] = -1
    voxels[3, 3, 3] = value
    return voxels


def test_a_voxel_that_raises_the_deviation_by_more_than_a_tenth_is_an_outlier() -> None:
    # It raises it by the factor sqrt(1 + value^2 / 20000): 1.094 for 63 and 1.106 for 67.
    assert measure_intensities(with_one_voxel(63)).outlier is None
    assert measure_intensities(with_one_voxel(67)).outlier == 67
    assert measure_intensities(with_one_voxel(-67)).outlier == -67


@pytest.mark.parametrize("value", [1e30, -1e30, 1e8])
def test_an_outlier_is_named_unless_the_intensities_are_clipped(value: float) -> None:
    found = measure_intensities(with_one_voxel(value))
    said = {
        kind: intensity_warnings(found, "", "MR", intensity=kind)
        for kind in ("zscore", "zscore-nonzero", "percentile", "ct")
    }
    assert said["percentile"] == said["ct"] == []
    assert said["zscore"] == said["zscore-nonzero"]
    (sentence,) = said["zscore"]
    assert sentence.startswith(f"The value {value:g} of a few voxels is far from all others")


def test_an_outlier_that_is_not_among_the_sampled_voxels_is_found() -> None:
    voxels = np.tile(np.arange(100, dtype=np.int16), (128, 128, 2))  # 3.3 million, one in 8 is read
    assert measure_intensities(voxels).outlier is None
    voxels[1, 1, 1] = 30000
    assert measure_intensities(voxels).outlier == 30000


def test_bright_voxels_that_are_not_few_are_no_outliers() -> None:
    voxels = with_one_voxel(1)
    voxels[5, 5:8, 5:40] = 1000  # 105 of 20,000 voxels: vessels or metal
    assert measure_intensities(voxels).outlier is None


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
