"""Smooth fields, ellipsoids and soft masks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcross.training.data.phantom.pelvis.fields import ellipsoid, smooth_field, soft_mask


@given(
    shape=st.tuples(*[st.integers(6, 20)] * 3),
    distance=st.floats(1, 40),
    seed=st.integers(0, 2**32),
)
def test_a_smooth_field_has_mean_0_and_standard_deviation_1(
    shape: tuple[int, int, int], distance: float, seed: int
) -> None:
    field = smooth_field(shape, distance, np.random.default_rng(seed))
    assert field.shape == shape
    assert field.dtype == np.float32
    assert field.mean() == pytest.approx(0, abs=1e-3)
    assert field.std() == pytest.approx(1, abs=1e-3)


def test_a_field_with_distant_control_points_changes_less_from_voxel_to_voxel() -> None:
    fine, coarse = (
        smooth_field((30, 30, 30), distance, np.random.default_rng(0)) for distance in (2, 10)
    )
    for axis in range(3):
        steps = [np.abs(np.diff(field, axis=axis)).mean() for field in (fine, coarse)]
        assert steps[0] > 3 * steps[1]


def test_the_distance_to_a_ball_is_exact() -> None:
    distance = ellipsoid(([0.0, 3.0, 1.0], [0.0, 4.0, 0.0], [0.0, 0.0, 0.0]), (1, 0, 0), (2, 2, 2))
    assert distance == pytest.approx([-1.0, np.sqrt(20) - 2, -2.0])


def test_an_infinite_semi_axis_makes_a_cylinder() -> None:
    distance = ellipsoid(([5.0, 5.0], [0.0, 0.0], [0.0, 900.0]), (0, 0, 0), (2, 3, float("inf")))
    assert distance == pytest.approx([3.0, 3.0])


def test_a_soft_mask_is_one_half_at_the_surface_and_falls_over_its_width() -> None:
    mask = soft_mask([-9.0, -1.0, 0.0, 1.0, 9.0], 4.0)
    assert mask == pytest.approx([1, 0.75, 0.5, 0.25, 0])
