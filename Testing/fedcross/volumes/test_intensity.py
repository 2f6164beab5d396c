import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedcross.errors import DataError
from fedcross.volumes.intensity import clip_percentiles, normalise, zscore, zscore_nonzero
from fedcross.volumes.preprocessing import Preprocessing

VOLUMES = arrays(np.int16, (2, 3, 4), elements=st.integers(-3, 3))


def settings(**intensity):
    return Preprocessing(spacing_mm=(1, 1, 1), patch_size=(16, 16, 16), **intensity)


CT = {"intensity": "ct", "window": (-100.0, 300.0), "mean": 50.0, "std": 25.0}


def test_zscore_equals_hand_computed_numbers():
    # Mean 2, population variance (4 + 0 + 0 + 4) / 4 = 2.
    scores = zscore(np.array([[[0, 2], [2, 4]]], dtype=np.int16))
    np.testing.assert_allclose(scores.ravel(), [-np.sqrt(2), 0, 0, np.sqrt(2)], rtol=1e-7)
    assert scores.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64])
@pytest.mark.parametrize("value", [0, 7])
def test_a_constant_volume_becomes_zeros(dtype, value):
    scores = zscore(np.full((3, 4, 5), value, dtype=dtype))
    np.testing.assert_array_equal(scores, np.zeros((3, 4, 5)))


def test_a_constant_volume_with_a_rounded_mean_becomes_zeros():
    # In float64 the mean of many values 0.1 is not exactly 0.1.
    np.testing.assert_array_equal(zscore(np.full((3, 7, 11), 0.1)), np.zeros((3, 7, 11)))


def test_a_large_offset_does_not_change_the_zscores():
    pattern = np.array([[[0.0, 1.0], [1.0, 0.0]]])
    np.testing.assert_allclose(zscore(pattern + 1e9), zscore(pattern), rtol=1e-6)


def test_scaling_and_shifting_intensities_does_not_change_the_zscores(blobs):
    np.testing.assert_allclose(zscore(blobs * 1000 + 5), zscore(blobs), atol=1e-4)


def test_intensities_whose_variance_overflows_are_refused():
    with pytest.raises(DataError, match="too large to be standardised"):
        zscore(np.array([[[1e300, -1e300]]]))


def test_only_non_zero_voxels_count_and_zeros_become_zero():
    # Non-zero 2, 4, 6: mean 4, population variance 8 / 3.
    scores = zscore_nonzero(np.array([[[0, 2], [4, 0]], [[0, 0], [0, 6]]], dtype=np.int16))
    step = 2 / np.sqrt(8 / 3)
    np.testing.assert_allclose(scores.ravel(), [0, -step, 0, 0, 0, 0, 0, step], rtol=1e-6)
    assert scores.dtype == np.float32


@pytest.mark.parametrize("values", [[0, 0, 0, 0], [7, 0, 7, 7], [0, 5, 0, 0]])
def test_without_two_different_non_zero_values_all_becomes_zero(values):
    scores = normalise(np.reshape(values, (2, 1, 2)), settings(intensity="zscore-nonzero"))
    np.testing.assert_array_equal(scores, np.zeros((2, 1, 2)))


@given(VOLUMES, st.integers(1, 9))
def test_adding_zero_planes_does_not_change_the_scores_of_the_others(voxels, planes):
    wider = np.concatenate([voxels, np.zeros((planes, 3, 4), np.int16)])
    np.testing.assert_allclose(zscore_nonzero(wider)[:2], zscore_nonzero(voxels), atol=1e-6)


def test_percentiles_are_interpolated_and_clipped():
    # Of 0 .. 4 the percentiles 25 and 75 are 1 and 3.
    voxels = np.arange(5, dtype=np.int16).reshape(1, 1, 5)
    np.testing.assert_array_equal(clip_percentiles(voxels, (25, 75)).ravel(), [1, 1, 2, 3, 3])


def test_after_clipping_to_percentiles_an_outlier_does_not_change_the_scores():
    plain = np.linspace(0, 1, 1000, dtype=np.float32).reshape(10, 10, 10)
    outlier = plain.copy()
    outlier[-1, -1, -1] = 1e6
    wanted = settings(intensity="percentile", percentiles=(1, 99))
    np.testing.assert_allclose(normalise(outlier, wanted), normalise(plain, wanted), atol=1e-4)


def test_percentiles_that_leave_one_value_are_refused():
    voxels = np.zeros((10, 10, 10), np.int16)
    voxels[0, 0, 0] = 9  # one of 1000 voxels, above percentile 99.5
    with pytest.raises(DataError, match=r"percentiles 0\.5 and 99\.5 of the volume are both 0"):
        normalise(voxels, settings(intensity="percentile"))


def test_a_constant_volume_becomes_zeros_after_percentiles_too():
    scores = normalise(np.full((2, 2, 2), 4.0), settings(intensity="percentile"))
    np.testing.assert_array_equal(scores, np.zeros((2, 2, 2)))


def test_a_window_clips_and_scales_by_the_given_numbers():
    voxels = np.array([[[-2000, -100, 50, 75, 300, 3000]]], dtype=np.int16)
    scores = normalise(voxels, settings(**CT))
    np.testing.assert_allclose(scores.ravel(), [-6, -6, 0, 1, 10, 10])
    assert scores.dtype == np.float32


@given(VOLUMES)
def test_a_window_treats_every_voxel_alone(voxels):
    whole = normalise(voxels, settings(**CT))
    np.testing.assert_array_equal(whole[1:], normalise(voxels[1:], settings(**CT)))


@given(VOLUMES)
def test_zscore_is_the_one_of_all_voxels(voxels):
    np.testing.assert_array_equal(normalise(voxels, settings()), zscore(voxels))


@pytest.mark.parametrize(
    ("given_settings", "message"),
    [
        ({"intensity": "ct", "mean": 0.0, "std": 1.0}, "needs window"),
        ({**CT, "std": 0.0}, "greater than or equal to"),
        ({**CT, "mean": float("nan")}, "finite"),
        ({**CT, "window": (5.0, 5.0)}, "low < high"),
        ({**CT, "window": (-1e9, 5.0)}, "greater than or equal to"),
        ({"intensity": "percentile", "percentiles": (99, 1)}, "low < high"),
        ({"intensity": "percentile", "percentiles": (0, 101)}, "less than or equal to 100"),
        ({"percentiles": (1, 99)}, 'percentiles is not a parameter of intensity = "zscore"'),
        ({"intensity": "percentile", "std": 1.0}, "std is not a parameter"),
        ({"intensity": "minmax"}, "'zscore', 'zscore-nonzero', 'percentile' or 'ct'"),
    ],
)
def test_wrong_parameters_are_refused(given_settings, message):
    with pytest.raises(ValueError, match=message):
        settings(**given_settings)


def test_only_the_parameters_that_are_used_are_written():
    always = {"spacing_mm", "patch_size", "overlap", "orientation", "intensity", "modality"}
    assert settings().model_dump(mode="json").keys() == always
    assert settings(**CT).model_dump(mode="json").keys() == always | {"window", "mean", "std"}
    written = settings(intensity="percentile").model_dump(mode="json")
    assert written.keys() == always | {"percentiles"}
    assert written["percentiles"] == [0.5, 99.5]


@pytest.mark.parametrize("kind", [{}, CT, {"intensity": "percentile"}])
def test_written_settings_are_read_again(kind):
    assert Preprocessing.model_validate_json(settings(**kind).model_dump_json()) == settings(**kind)
