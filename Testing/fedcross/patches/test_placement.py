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


def test_a_reference_volume_has_27_patches() -> None:
    starts = plan_patches((72, 384, 384), (32, 160, 160), 0.25)
    assert len(starts) == 27
    assert sorted({z for z, _, _ in starts}) == [0, 24, 40]
    assert sorted({x for _, _, x in starts}) == [0, 120, 224]


def test_a_volume_of_the_size_of_a_patch_has_one_patch() -> None:
    assert plan_patches((16, 32, 32), (16, 32, 32), 0.25) == [(0, 0, 0)]


def test_one_voxel_more_than_a_patch_needs_a_second_patch() -> None:
    assert plan_patches((17, 32, 32), (16, 32, 32), 0.25) == [(0, 0, 0), (1, 0, 0)]


def test_a_volume_smaller_than_a_patch_is_centred_in_it() -> None:
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


def test_the_weight_is_gaussian_with_a_lower_bound() -> None:
    weight = gaussian_weight((5, 8, 16))
    assert weight.dtype == np.float32
    np.testing.assert_array_equal(weight, weight[::-1, ::-1, ::-1])
    # Centre voxels lie 0, 1/2 and 1/2 voxel from the centre; sigma is 5/8, 1 and 2.
    assert weight.max() == pytest.approx(np.exp(-0.5 * (0.5**2 + 0.25**2)))
    assert weight[0, 0, 0] == np.float32(SMALLEST_WEIGHT)


def test_selected_patches_have_a_voxel_in_the_part() -> None:
    starts = plan_patches((4, 4, 20), (8, 8, 8), 0.5)
    assert starts == [(-2, -2, 0), (-2, -2, 4), (-2, -2, 8), (-2, -2, 12)]
    part = (slice(0, 1), slice(3, 4), slice(11, 12))
    assert select_touching(starts, (8, 8, 8), part) == [(-2, -2, 4), (-2, -2, 8)]


def test_the_reference_volume_needs_8_sparse_patches() -> None:
    # In plane, two patches leave 384 - 2 * 160 = 64 voxels, three gaps of 21.3. Along z they leave 8
    # voxels, three gaps of 2.7.
    starts = plan_sparse_patches((72, 384, 384), (32, 160, 160), (12, 24, 24))
    assert len(starts) == 8
    assert sorted({z for z, _, _ in starts}) == [3, 37]
    assert sorted({y for _, y, _ in starts}) == sorted({x for _, _, x in starts}) == [21, 203]


@pytest.mark.parametrize(
    ("side", "starts"),
    [
        (160, [0]),  # no gap
        (101, [-29]),  # 59 voxels of padding, 29 of them before the volume
        (208, [24]),  # one patch with the widest gaps that are allowed
        (209, [0, 49]),  # one patch leaves too wide gaps, so two patches overlap
        (320, [0, 160]),
        (392, [24, 208]),
    ],
)
def test_a_patch_is_added_if_a_gap_would_be_too_wide(side: int, starts: list[int]) -> None:
    found = plan_sparse_patches((side, 8, 8), (160, 8, 8), (24, 0, 0))
    assert found == [(start, 0, 0) for start in starts]


@given(side=st.integers(1, 300), part=st.integers(1, 60), widest=st.floats(0, 40))
def test_no_gap_is_wider_than_allowed_and_one_patch_fewer_would_leave_a_wider_gap(
    side: int, part: int, widest: float
) -> None:
    starts = [z for z, _, _ in plan_sparse_patches((side, 4, 4), (part, 4, 4), (widest, 0, 0))]
    ends = [0, *(start + part for start in starts)]
    gaps = [low - end for low, end in zip([*starts, side], ends, strict=True)]
    assert max(gaps) <= widest + 1  # rounded to whole voxels
    assert max(gaps) - min(gaps[1:-1], default=max(gaps)) <= 2 or min(gaps) < 0
    fewer = len(starts) - 1
    assert fewer == 0 or (side - fewer * part) / (fewer + 1) > widest - 1e-9
