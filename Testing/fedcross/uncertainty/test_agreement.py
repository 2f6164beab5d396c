import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from fedcross.uncertainty.agreement import agreement, dice


def labels(*counts: int) -> NDArray[np.uint8]:
    """A label map (2, 2, 5) whose first voxels are label 1, the next label 2 ..."""
    flat = np.zeros(20, np.uint8)
    start = 0
    for label, count in enumerate(counts, start=1):
        flat[start : start + count] = label
        start += count
    return flat.reshape(2, 2, 5)


def test_volumes_and_dice_by_hand() -> None:
    (found,) = agreement([labels(4), labels(6), labels(8)], {"Organ": 1}, 500.0)
    assert found.volumes_ml == (2.0, 3.0, 4.0)
    assert (found.mean_ml, found.min_ml, found.median_ml, found.max_ml) == (3.0, 2.0, 3.0, 4.0)
    assert found.coefficient_of_variation == pytest.approx(math.sqrt(2 / 3) / 3)
    # nested: 2*4/10, 2*4/12, 2*6/14
    assert found.mean_pairwise_dice == pytest.approx((8 / 10 + 8 / 12 + 12 / 14) / 3)


def test_each_structure_is_compared_by_itself() -> None:
    first, second = agreement([labels(4, 2), labels(4, 4)], {"A": 1, "B": 2}, 1000.0)
    assert (first.name, first.mean_pairwise_dice) == ("A", 1.0)
    assert second.mean_pairwise_dice == pytest.approx(4 / 6)


def test_members_who_all_find_nothing_agree_and_one_who_does_disagrees() -> None:
    (nobody,) = agreement([labels(), labels()], {"Organ": 1}, 1.0)
    assert nobody.mean_pairwise_dice == 1.0
    assert nobody.coefficient_of_variation is None
    (one,) = agreement([labels(), labels(3)], {"Organ": 1}, 1.0)
    assert one.mean_pairwise_dice == 0.0


def test_a_single_member_has_nobody_to_agree_with() -> None:
    (alone,) = agreement([labels(3)], {"Organ": 1}, 1.0)
    assert alone.mean_pairwise_dice is None
    assert alone.coefficient_of_variation == 0.0


def test_dice_by_hand_and_of_empty_masks() -> None:
    a = np.array([True, True, False, False])
    assert dice(a, np.array([True, False, True, False])) == 0.5
    assert dice(a, ~a) == 0.0
    assert dice(a & False, a & False) == 1.0
    with pytest.raises(ValueError, match="one shape"):
        dice(a, a[:2])
    with pytest.raises(ValueError, match="must be bool, got uint8"):
        dice(a.astype(np.uint8), a)  # 2 & 1 is 0: labels would look as if they did not overlap


@given(
    hnp.arrays(
        np.uint8, st.tuples(st.integers(2, 5), *[st.integers(1, 4)] * 3), elements=st.integers(0, 2)
    )
)
def test_slab_by_slab_equals_all_at_once(members: NDArray[np.uint8]) -> None:
    for label, found in enumerate(agreement(list(members), {"A": 1, "B": 2}, 1000.0), start=1):
        masks = members == label
        pairs = [
            dice(masks[i], masks[j]) for i in range(len(masks)) for j in range(i + 1, len(masks))
        ]
        assert found.volumes_ml == tuple(float(mask.sum()) for mask in masks)
        assert found.mean_pairwise_dice == pytest.approx(np.mean(pairs))


def test_counts_above_what_float32_holds_are_exact() -> None:
    # Not a round number of voxels in float32 (2^24 + 1), all in one slice, without the memory.
    everything = np.broadcast_to(np.uint8(1), (1, 1, 2**24 + 1))
    (found,) = agreement([everything, everything], {"Organ": 1}, 1000.0)
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
def test_what_cannot_be_compared_is_a_programming_error(
    members: list[NDArray[np.uint8]], voxel_volume_mm3: float, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        agreement(members, {"Organ": 1}, voxel_volume_mm3)
