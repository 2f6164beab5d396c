"""Places of limited size, and the shapes that they are made of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from fedcross.uncertainty import places
from fedcross.uncertainty.places import ball, border_voxels, find_places

UNIT = (1.0, 1.0, 1.0)


def test_the_place_with_the_largest_sum_comes_first_even_with_a_lower_peak() -> None:
    weights = np.zeros((6, 6, 12))
    weights[0, 0, 0] = 0.9
    weights[4, 4, 8:11] = 0.4
    found = find_places(weights, UNIT, 2.0, 5)
    assert [place.weight for place in found] == pytest.approx([1.2, 0.9])
    assert found[0].indices.tolist() == [[4, 4, 8], [4, 4, 9], [4, 4, 10]]


def test_a_ring_around_an_organ_is_split_into_places() -> None:
    z, y, x = np.ogrid[:3, :61, :61]
    ring = (np.hypot(y - 30, x - 30) > 24) & (np.hypot(y - 30, x - 30) < 27) & (z == 1)
    found = find_places(ring.astype(float), UNIT, 6.0, 100)
    assert len(found) > 10
    for place in found:
        # Both ends lie within the radius of one centre, give or take the size of a cell.
        assert np.ptp(place.indices, axis=0).max() <= 2 * 6 + 2
    assert sum(len(place.indices) for place in found) == np.count_nonzero(ring)


def test_the_radius_is_in_millimetres_along_every_axis() -> None:
    weights = np.zeros((5, 1, 9))
    weights[2, 0, 4] = 2.0
    weights[3, 0, 4] = weights[2, 0, 7] = 1.0  # 5 mm away along z, 3 mm along x
    (first, second) = find_places(weights, (5.0, 1.0, 1.0), 4.0, 9)
    assert first.indices.tolist() == [[2, 0, 4], [2, 0, 7]]
    assert second.indices.tolist() == [[3, 0, 4]]


@given(
    hnp.arrays(np.float64, (4, 5, 6), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])),
    st.sampled_from([1.0, 2.5, 9.0]),
)
def test_every_voxel_is_in_one_place_and_the_weights_fall(
    weights: NDArray[np.float64], radius: float
) -> None:
    found = find_places(weights, (2.0, 1.0, 1.0), radius, 1000)
    seen = np.zeros(weights.shape, int)
    for place in found:
        np.add.at(seen, tuple(place.indices.T), 1)
        assert place.weight == pytest.approx(weights[tuple(place.indices.T)].sum())
    np.testing.assert_array_equal(seen, weights > 0)
    sums = [place.weight for place in found]
    assert sums == pytest.approx(sorted(sums, reverse=True))


def test_only_the_heaviest_cells_are_used_in_a_large_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MAX_CELLS", 2)
    weights = np.zeros((1, 1, 30))
    weights[0, 0, [0, 10, 20]] = 1.0, 3.0, 2.0
    assert [place.weight for place in find_places(weights, UNIT, 2.0, 9)] == [3.0, 2.0]


def test_an_empty_map_and_a_limit_of_zero_give_no_place() -> None:
    assert find_places(np.zeros((2, 2, 2)), UNIT, 2.0, 5) == []
    assert find_places(np.ones((2, 2, 2)), UNIT, 2.0, 0) == []


def test_a_radius_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="radius above 0"):
        find_places(np.ones((2, 2, 2)), UNIT, 0.0, 5)


def test_a_ball_holds_the_voxels_within_its_radius() -> None:
    # 1 mm reaches the neighbours along x and y, not along z.
    found = {tuple(offset) for offset in ball(1.0, (3.0, 1.0, 1.0)).tolist()}
    assert found == {(0, 0, 0), (0, 0, 1), (0, 0, -1), (0, 1, 0), (0, -1, 0)}


def test_both_sides_of_a_face_between_labels_are_border() -> None:
    labels = np.array([[[0, 0, 1, 1, 2, 2, 2]]], np.uint8)
    assert border_voxels(labels)[0, 0].tolist() == [False, True, True, True, True, False, False]
    assert not border_voxels(np.ones((2, 2, 2), np.uint8)).any()
