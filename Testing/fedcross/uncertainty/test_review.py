"""A reader who corrects places, against numbers derived by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from fedcross.uncertainty.agreement import dice
from fedcross.uncertainty.places import border_voxels
from fedcross.uncertainty.review import correct_places, random_places

LABELS = hnp.arrays(np.uint8, (2, 3, 4), elements=st.integers(0, 2))
PLACES = st.lists(
    st.lists(st.integers(0, 23), unique=True).map(lambda each: np.array(each, np.intp)), max_size=4
)


def test_dice_and_error_after_each_place_equal_numbers_derived_by_hand() -> None:
    truth = np.array([[[0, 1, 1, 1, 1, 0]]], np.uint8)
    labels = np.array([[[1, 1, 1, 0, 0, 0]]], np.uint8)
    places = [np.array([0, 1]), np.array([3])]
    found = correct_places(labels, truth, places, [1], voxel_mm3=500.0, count=3)
    # Both 2 of 3 found and 4 drawn; then 2 of 2; then 3 of 3; there is no third place.
    assert found.dice == pytest.approx((4 / 7, 4 / 6, 6 / 7, 6 / 7))
    assert found.error_ml == pytest.approx((1.5, 1.0, 0.5, 0.5))


@given(LABELS, LABELS, PLACES)
def test_the_figures_are_those_of_the_corrected_label_map(
    labels: NDArray[np.uint8], truth: NDArray[np.uint8], places: list[NDArray[np.intp]]
) -> None:
    found = correct_places(labels, truth, places, [1, 2], voxel_mm3=1000.0, count=len(places))
    now = labels.flatten()
    for place in places:
        now[place] = truth.ravel()[place]
    corrected = now.reshape(labels.shape)
    dices = [dice(corrected == label, truth == label) for label in (1, 2)]
    assert found.dice[-1] == pytest.approx(np.mean(dices))
    assert found.error_ml[-1] == pytest.approx(np.count_nonzero(corrected != truth))


def test_random_places_are_balls_around_border_voxels_in_no_earlier_place() -> None:
    labels = np.zeros((9, 12, 12), np.uint8)
    labels[3:6, 3:9, 3:9] = 1
    border = np.flatnonzero(border_voxels(labels))
    places = random_places(labels, (1.0, 1.0, 1.0), 1.0, 5, np.random.default_rng(1))
    assert len(places) == 5
    seen: set[int] = set()
    for place in places:
        assert len(place) == 7  # a voxel and its six neighbours
        assert (set(border.tolist()) & set(place.tolist())) - seen
        seen |= set(place.tolist())


def test_random_places_end_where_no_border_is_left() -> None:
    labels = np.zeros((3, 3, 3), np.uint8)
    labels[1, 1, 1] = 1
    rng = np.random.default_rng(0)
    assert len(random_places(labels, (1.0, 1.0, 1.0), 9.0, 5, rng)) == 1
    assert random_places(np.zeros((3, 3, 3), np.uint8), (1.0, 1.0, 1.0), 9.0, 5, rng) == []


def test_the_same_seed_draws_the_same_places() -> None:
    labels = np.zeros((4, 8, 8), np.uint8)
    labels[1:3, 2:6, 2:6] = 1
    one, other = (
        random_places(labels, (1.0, 1.0, 1.0), 1.0, 3, np.random.default_rng(5)) for _ in range(2)
    )
    assert [place.tolist() for place in one] == [place.tolist() for place in other]
