import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from fedcross.uncertainty.agreement import compare_members, dice


def labels(*counts: int) -> NDArray[np.uint8]:
    """A label map (2, 2, 5) whose first voxels are label 1, the next label 2 ..."""
    flat = np.zeros(20, np.uint8)
    start = 0
    for label, count in enumerate(counts, start=1):
        flat[start : start + count] = label
        start += count
    return flat.reshape(2, 2, 5)


def test_volumes_and_dice_equal_hand_computed_numbers() -> None:
    (found,) = compare_members([labels(4), labels(6), labels(8)], {"Organ": 1}, 500.0)
    assert found.volumes_ml == (2.0, 3.0, 4.0)
    assert (found.mean_ml, found.min_ml, found.median_ml, found.max_ml) == (3.0, 2.0, 3.0, 4.0)
    assert found.coefficient_of_variation == pytest.approx(math.sqrt(2 / 3) / 3)
    # Each mask contains the smaller ones: 2 * 4 / 10, 2 * 4 / 12, 2 * 6 / 14.
    assert found.mean_pairwise_dice == pytest.approx((8 / 10 + 8 / 12 + 12 / 14) / 3)


def test_structures_are_compared_separately() -> None:
    first, second = compare_members([labels(4, 2), labels(4, 4)], {"A": 1, "B": 2}, 1000.0)
    assert (first.name, first.mean_pairwise_dice) == ("A", 1.0)
    assert second.mean_pairwise_dice == pytest.approx(4 / 6)


def test_there_is_no_dice_if_no_member_finds_the_structure_and_it_is_0_if_one_of_two_does() -> None:
    (found_by_none,) = compare_members([labels(), labels()], {"Organ": 1}, 1.0)
    assert found_by_none.mean_pairwise_dice is None
    assert found_by_none.coefficient_of_variation is None
    (found_by_one,) = compare_members([labels(), labels(3)], {"Organ": 1}, 1.0)
    assert found_by_one.mean_pairwise_dice == 0.0


def test_a_single_member_has_no_pairwise_dice() -> None:
    (found,) = compare_members([labels(3)], {"Organ": 1}, 1.0)
    assert found.mean_pairwise_dice is None
    assert found.coefficient_of_variation == 0.0


def test_dice_equals_hand_computed_numbers_and_is_1_for_empty_masks() -> None:
    a = np.array([True, True, False, False])
    assert dice(a, np.array([True, False, True, False])) == 0.5
    assert dice(a, ~a) == 0.0
    assert dice(a & False, a & False) == 1.0
    with pytest.raises(ValueError, match="one shape"):
        dice(a, a[:2])
    with pytest.raises(ValueError, match="must be bool, got uint8"):
        dice(a.astype(np.uint8), a)  # with labels, 2 & 1 == 0 would count as no overlap


@given(
    hnp.arrays(
        np.uint8, st.tuples(st.integers(2, 5), *[st.integers(1, 4)] * 3), elements=st.integers(0, 2)
    )
)
def test_slice_by_slice_equals_the_whole_volume_at_once(members: NDArray[np.uint8]) -> None:
    for label, found in enumerate(
        compare_members(list(members), {"A": 1, "B": 2}, 1000.0), start=1
    ):
        masks = members == label
        pairs = [
            dice(masks[i], masks[j]) for i in range(len(masks)) for j in range(i + 1, len(masks))
        ]
        assert found.volumes_ml == tuple(float(mask.sum()) for mask in masks)
        expected = pytest.approx(np.mean(pairs)) if masks.any() else None
        assert found.mean_pairwise_dice == expected


def test_voxel_counts_above_2_to_the_24_are_exact() -> None:
    # float32 cannot represent 2^24 + 1. The broadcast array needs no memory for its voxels.
    everything = np.broadcast_to(np.uint8(1), (1, 1, 2**24 + 1))
    (found,) = compare_members([everything, everything], {"Organ": 1}, 1000.0)
    assert found.volumes_ml == (2**24 + 1, 2**24 + 1)


@pytest.mark.parametrize(
    ("members", "voxel_volume_mm3", "reason"),
    [
        ([], 1.0, "at least one member"),
        ([labels(), np.zeros((3, 2, 5), np.uint8)], 1.0, "one 3D shape"),
        ([labels()[0]], 1.0, "one 3D shape"),
        ([labels()], 0.0, "above 0, got 0.0"),
    ],
)
def test_label_maps_that_cannot_be_compared_raise_value_error(
    members: list[NDArray[np.uint8]], voxel_volume_mm3: float, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        compare_members(members, {"Organ": 1}, voxel_volume_mm3)
