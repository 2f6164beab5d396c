import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcross.volumes import resample
from fedcross.volumes.resample import Sampling, chunks, resample_linear


def test_halving_the_spacing_interpolates_and_repeats_the_edge():
    # Eight samples, half a voxel apart around the centre 1.5, are at -0.25, 0.25, 0.75 ... 3.25.
    values = np.array([0, 4, 8, 20], dtype=np.float32)
    finer = resample_linear(values, (8,), (0.5,))
    np.testing.assert_array_equal(finer, [0, 1, 3, 5, 7, 11, 17, 20])


def test_doubling_the_spacing_averages_pairs():
    values = np.array([0, 4, 8, 20], dtype=np.float32)
    np.testing.assert_array_equal(resample_linear(values, (2,), (2.0,)), [2, 14])


def test_a_single_voxel_is_repeated_over_its_extent():
    one = np.full((1, 2, 2), 3, dtype=np.float32)
    np.testing.assert_array_equal(
        resample_linear(one, (4, 2, 2), (0.25, 1, 1)), np.full((4, 2, 2), 3)
    )


def test_equal_grids_return_the_same_array():
    values = np.random.default_rng(0).standard_normal((3, 4, 5)).astype(np.float32)
    assert resample_linear(values, values.shape, (1, 1, 1)) is values


def test_axes_are_interpolated_independently():
    z, y, x = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in (3, 4, 5)), indexing="ij")
    ramp = 100 * z + 10 * y + x
    finer = resample_linear(ramp, (3, 8, 5), (1, 0.5, 1))
    np.testing.assert_allclose(finer[2, :, 4], 204 + 10 * np.clip(np.arange(8) / 2 - 0.25, 0, 3))


@given(
    count=st.integers(1, 20),
    target=st.integers(1, 40),
    scale=st.floats(0.1, 10),
    seed=st.integers(0, 99),
)
def test_a_flipped_volume_gives_flipped_samples(count, target, scale, seed):
    values = np.random.default_rng(seed).random(count, dtype=np.float32)
    forward = resample_linear(values, (target,), (scale,))
    backward = resample_linear(values[::-1].copy(), (target,), (scale,))[::-1]
    np.testing.assert_allclose(forward, backward, atol=1e-5)
    assert forward.min() >= values.min() - 1e-6
    assert forward.max() <= values.max() + 1e-6


@pytest.mark.parametrize(("count", "scale"), [(7, 0.7), (12, 1.3)])
def test_a_linear_ramp_stays_linear_inside(count, scale):
    line = np.arange(10, dtype=np.float32)
    samples = resample_linear(line, (count,), (scale,))
    expected = (np.arange(count) - (count - 1) / 2) * scale + 4.5
    np.testing.assert_allclose(samples, expected.clip(0, 9), rtol=1e-6)


@given(
    old=st.tuples(*[st.integers(1, 9)] * 3),
    new=st.tuples(*[st.integers(1, 12)] * 3),
    scale=st.tuples(*[st.floats(0.2, 4)] * 3),
    cut=st.integers(0, 11),
)
def test_a_part_of_the_result_equals_the_whole_bit_for_bit(old, new, scale, cut):
    values = np.random.default_rng(0).random(old, dtype=np.float32)
    sampling = Sampling(old, new, scale)
    every = slice(0, new[0])
    whole = sampling(values[sampling.source_slices(every)], every)
    for part in (slice(0, min(cut, new[0] - 1) + 1), slice(min(cut, new[0] - 1), new[0])):
        assert np.array_equal(sampling(values[sampling.source_slices(part)], part), whole[part])
    assert np.array_equal(resample_linear(values, new, scale), whole)


def test_resampling_in_parts_gives_the_same_bits(monkeypatch):
    values = np.random.default_rng(0).random((7, 6, 5), dtype=np.float32)
    at_once = resample_linear(values, (11, 4, 9), (0.6, 1.4, 0.5))
    monkeypatch.setattr(resample, "CHUNK_VOXELS", 80)  # two slices
    assert len(list(chunks(0, 11, (11, 4, 9)))) == 6
    assert np.array_equal(resample_linear(values, (11, 4, 9), (0.6, 1.4, 0.5)), at_once)
