"""The rules for spacing, patch and batch, on numbers derived by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcross.training.planning.grid_rules import (
    coarsen,
    fit_batch,
    fit_patch,
    is_anisotropic,
    target_spacing,
)

SIZES = st.tuples(*[st.floats(4, 600)] * 3)
SPACINGS = st.tuples(*[st.floats(0.3, 8)] * 3)


def test_the_spacing_is_the_median_of_every_axis() -> None:
    assert target_spacing((0.7, 1, 2), (0.5, 1, 1), (100, 100, 100)) == ((0.7, 1.0, 2.0), False)


def test_a_spacing_that_all_cases_share_is_kept_exactly() -> None:
    spacing = (0.546875, 0.546875, 3.0)
    assert target_spacing(spacing, spacing, (512, 512, 20))[0] == spacing


def test_the_coarsest_axis_of_anisotropic_cases_takes_percentile_10() -> None:
    found = target_spacing((1.0, 1.0, 7.0), (0.5, 0.5, 3.0), (300, 300, 20))
    assert found == ((1.0, 1.0, 3.0), True)


def test_the_coarsest_axis_never_becomes_finer_than_the_others() -> None:
    found = target_spacing((1.0, 1.0, 5.0), (0.5, 0.5, 0.2), (300, 300, 20))
    assert found == ((1.0, 1.0, 1.0), True)


@pytest.mark.parametrize(
    ("spacing_mm", "size", "expected"),
    [
        ((1, 1, 3.1), (300, 300, 90), True),
        ((1, 1, 3.0), (300, 300, 20), False),  # not more than three times
        ((1, 1.5, 3.6), (300, 300, 20), False),  # the next axis counts
        ((1, 1, 4), (300, 300, 100), False),  # a third of the voxels, not less
        ((5, 1, 1), (20, 300, 300), True),
    ],
)
def test_anisotropic_means_three_times_in_spacing_and_in_voxels(spacing_mm, size, expected) -> None:
    assert is_anisotropic(spacing_mm, size) is expected


def test_a_patch_is_the_median_case_rounded_up_where_the_memory_allows() -> None:
    assert fit_patch((47.5, 48, 20), (1, 1, 1), (16, 16, 16), 1e9) == (48, 48, 32)


def test_the_side_that_is_largest_in_relation_to_the_case_shrinks_first() -> None:
    # 112 x 112 x 32 are 401,408 voxels. 32 / 20 is the largest ratio: z becomes 16, 200,704 voxels. Then
    # x and y are equal: x loses 16, y loses 16 (147,456 voxels).
    assert fit_patch((100, 100, 20), (1, 1, 1), (16, 16, 16), 210_000) == (112, 112, 16)
    assert fit_patch((100, 100, 20), (1, 1, 1), (16, 16, 16), 150_000) == (96, 96, 16)


def test_of_equal_ratios_the_axis_that_is_longer_in_mm_shrinks() -> None:
    assert fit_patch((64, 64, 64), (1, 2, 1), (16, 16, 16), 64 * 64 * 64 - 1) == (64, 48, 64)


def test_every_axis_has_its_own_divisor() -> None:
    assert fit_patch((60, 60, 10), (1, 1, 8), (16, 16, 2), 1e9) == (64, 64, 10)


def test_a_case_within_one_divisor_gets_two_of_them_along_its_longest_axis() -> None:
    assert fit_patch((12, 14, 10), (1, 1, 1), (16, 16, 16), 1e9) == (16, 32, 16)


@given(SIZES, SPACINGS, st.sampled_from([(16, 16, 16), (16, 16, 4), (8, 4, 2)]), st.floats(1, 1e7))
def test_a_patch_is_valid_whatever_the_numbers(size, spacing_mm, divisors, most) -> None:
    patch = fit_patch(size, spacing_mm, divisors, most)
    blocks = [side // divisor for side, divisor in zip(patch, divisors, strict=True)]
    assert all(side % divisor == 0 for side, divisor in zip(patch, divisors, strict=True))
    assert max(patch) <= 1024
    assert math.prod(blocks) > 1
    assert math.prod(patch) <= most or sum(blocks) <= 4


def test_a_volume_of_which_the_patch_has_a_quarter_keeps_its_spacing() -> None:
    # 48 of 96 x 48 of 48 x 48 of 96: a quarter exactly.
    kept = coarsen((1, 1, 1), (96, 48, 96), (200, 200, 200), lambda _: (48, 48, 48))
    assert kept == (1, 1, 1)


def test_the_spacing_grows_until_the_patch_has_a_quarter() -> None:
    # 64 of 128 along every axis are an eighth. A quarter needs 128 x (1 / 4) ** (1 / 3) = 80.6 mm, a
    # factor of 1.26; 24 steps of 1 % are 1.2697.
    grown = coarsen((1, 1, 1), (128, 128, 128), (200, 200, 200), lambda _: (64, 64, 64))
    assert grown == (1.27, 1.27, 1.27)


def test_only_axes_finer_than_half_of_the_coarsest_grow_first() -> None:
    # The patch covers 32 x 32 x 16 voxels: z (16 x 4 mm) completely, x and y need half of 100 mm each,
    # 1.5625 mm; 45 steps of 1 % are 1.5648. There 4 mm is still more than twice as coarse.
    grown = coarsen((1, 1, 4), (100, 100, 64), (200, 200, 200), lambda _: (32, 32, 16))
    assert grown == (1.56, 1.56, 4)


def test_a_small_structure_needs_no_view_of_the_whole_volume() -> None:
    kept = coarsen((1, 1, 1), (500, 500, 500), (32, 20, 20), lambda _: (64, 64, 64))
    assert kept == (1, 1, 1)


@pytest.mark.parametrize(
    ("step_voxels", "train_voxels", "expected"),
    [
        (3.9e3, 1e9, 3),  # the memory
        (1e9, 1e5, 5),  # 5 % of 100,000 voxels are five patches of 1,000
        (1e9, 1e9, 16),
        (1, 1, 2),
    ],
)
def test_the_batch_follows_memory_and_data_within_2_to_16(
    step_voxels, train_voxels, expected
) -> None:
    assert fit_batch((10, 10, 10), step_voxels, train_voxels) == expected
