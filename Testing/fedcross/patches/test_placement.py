"""Where patches lie, and what they weigh."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcross.patches.placement import (
    SMALLEST_WEIGHT,
    gaussian_weight,
    plan_patches,
    plan_sparse_patches,
    select_touching,
)


def test_the_reference_grid_has_27_patches() -> None:
    starts = plan_patches((72, 384, 384), (32, 160, 160), 0.25)
    assert len(starts) == 27
    assert sorted({z for z, _, _ in starts}) == [0, 24, 40]
    assert sorted({x for _, _, x in starts}) == [0, 120, 224]


def test_a_volume_of_one_patch_has_one() -> None:
    assert plan_patches((16, 32, 32), (16, 32, 32), 0.25) == [(0, 0, 0)]


def test_one_voxel_more_takes_a_second_patch() -> None:
    assert plan_patches((17, 32, 32), (16, 32, 32), 0.25) == [(0, 0, 0), (1, 0, 0)]


def test_a_volume_smaller_than_a_patch_lies_in_its_middle() -> None:
    assert plan_patches((11, 31, 32), (16, 32, 32), 0.25) == [(-2, 0, 0)]


@given(side=st.integers(1, 60), part=st.integers(1, 60), overlap=st.floats(0, 0.95))
def test_patches_cover_every_voxel_and_stay_inside(side: int, part: int, overlap: float) -> None:
    side = max(side, part)
    starts = [z for z, _, _ in plan_patches((side, 4, 4), (part, 4, 4), overlap)]
    covered = np.zeros(side, dtype=bool)
    for start in starts:
        assert 0 <= start <= side - part
        covered[start : start + part] = True
    assert covered.all()
    assert starts == sorted(set(starts))


def test_the_weight_is_a_bell_with_a_floor() -> None:
    weight = gaussian_weight((5, 8, 16))
    assert weight.dtype == np.float32
    np.testing.assert_array_equal(weight, weight[::-1, ::-1, ::-1])
    # Centre voxels lie 0, 1/2 and 1/2 voxel from the centre; sigma is 5/8, 1 and 2.
    assert weight.max() == pytest.approx(np.exp(-0.5 * (0.5**2 + 0.25**2)))
    assert weight[0, 0, 0] == np.float32(SMALLEST_WEIGHT)


def test_patches_that_touch_a_part_have_a_voxel_in_it() -> None:
    starts = plan_patches((4, 4, 20), (8, 8, 8), 0.5)
    assert starts == [(-2, -2, 0), (-2, -2, 4), (-2, -2, 8), (-2, -2, 12)]
    part = (slice(0, 1), slice(3, 4), slice(11, 12))
    assert select_touching(starts, (8, 8, 8), part) == [(-2, -2, 4), (-2, -2, 8)]


def test_the_reference_volume_is_looked_over_in_8_patches() -> None:
    # In plane 384 - 2 * 160 = 64 voxels are left for three gaps of 21.3, along z 8 for three of 2.7.
    starts = plan_sparse_patches((72, 384, 384), (32, 160, 160), (12, 24, 24))
    assert len(starts) == 8
    assert sorted({z for z, _, _ in starts}) == [3, 37]
    assert sorted({y for _, y, _ in starts}) == sorted({x for _, _, x in starts}) == [21, 203]


@pytest.mark.parametrize(
    ("side", "starts"),
    [
        (160, [0]),  # no gap
        (101, [-29]),  # 59 voxels are put around, 29 of them before
        (208, [24]),  # one patch with the widest gaps that are allowed
        (209, [0, 49]),  # not with one, and two overlap
        (320, [0, 160]),
        (392, [24, 208]),
    ],
)
def test_a_patch_is_added_when_a_gap_would_be_too_wide(side: int, starts: list[int]) -> None:
    found = plan_sparse_patches((side, 8, 8), (160, 8, 8), (24, 0, 0))
    assert found == [(start, 0, 0) for start in starts]


@given(side=st.integers(1, 300), part=st.integers(1, 60), widest=st.floats(0, 40))
def test_no_gap_is_wider_than_allowed_and_fewer_patches_would_leave_one(
    side: int, part: int, widest: float
) -> None:
    starts = [z for z, _, _ in plan_sparse_patches((side, 4, 4), (part, 4, 4), (widest, 0, 0))]
    ends = [0, *(start + part for start in starts)]
    gaps = [low - end for low, end in zip([*starts, side], ends, strict=True)]
    assert max(gaps) <= widest + 1  # rounded to whole voxels
    assert max(gaps) - min(gaps[1:-1], default=max(gaps)) <= 2 or min(gaps) < 0
    fewer = len(starts) - 1
    assert fewer == 0 or (side - fewer * part) / (fewer + 1) > widest - 1e-9
