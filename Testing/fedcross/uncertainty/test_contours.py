"""Inner and outer contours and their losses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from fedcross.uncertainty.contours import (
    MARGINS_MM,
    inner_contour,
    inner_losses,
    outer_contour,
    outer_losses,
    signed_distance,
)

SPACING = (3.0, 1.0, 0.5)  # z, y, x
masks = hnp.arrays(np.bool_, st.tuples(*[st.integers(1, 6)] * 3))


def line(*voxels: int) -> NDArray[np.bool_]:
    """A mask of ten voxels in a row, 1 mm apart."""
    mask = np.zeros((1, 1, 10), np.bool_)
    mask[..., list(voxels)] = True
    return mask


def test_distances_and_contours_equal_hand_computed_ones() -> None:
    distances = signed_distance(line(3, 4, 5, 6, 7), (1.0, 1.0, 1.0))
    assert distances.ravel().tolist() == [3, 2, 1, -1, -2, -3, -2, -1, 1, 2]
    assert np.flatnonzero(inner_contour(distances, 0)).tolist() == [3, 4, 5, 6, 7]
    assert np.flatnonzero(inner_contour(distances, 1)).tolist() == [4, 5, 6]
    assert np.flatnonzero(outer_contour(distances, 0)).tolist() == [3, 4, 5, 6, 7]
    assert np.flatnonzero(outer_contour(distances, 2)).tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_losses_equal_hand_computed_ones() -> None:
    distances = signed_distance(line(3, 4, 5, 6, 7), (1.0, 1.0, 1.0))
    truth = line(0, 5, 6, 7)
    at = {margin: index for index, margin in enumerate(MARGINS_MM)}
    inner, outer = inner_losses(distances, truth), outer_losses(distances, truth)
    # Without margin 2 of 5 are wrong, with 1 mm 1 of 3, with 2 mm none of 1.
    assert [inner[at[m]] for m in (0, 1, 2, 3)] == pytest.approx([2 / 5, 1 / 3, 0, 0])
    # Voxel 0 is missed until the margin is 3 mm.
    assert [outer[at[m]] for m in (0, 2, 2.75, 3)] == pytest.approx([1 / 4, 1 / 4, 1 / 4, 0])


def test_the_inner_loss_does_not_rise_where_the_share_does() -> None:
    distances = signed_distance(line(3, 4, 5, 6, 7), (1.0, 1.0, 1.0))
    truth = line(3, 4, 6, 7)  # the middle is wrong: 1 of 5, 1 of 3, 1 of 1
    at = {margin: index for index, margin in enumerate(MARGINS_MM)}
    losses = inner_losses(distances, truth)
    assert [losses[at[m]] for m in (0, 1, 2, 3)] == [1, 1, 1, 0]


def test_without_segmentation_the_inner_contour_is_never_wrong_and_the_outer_misses_all() -> None:
    distances = signed_distance(line(), (1.0, 1.0, 1.0))
    assert not inner_losses(distances, line(2)).any()
    assert (outer_losses(distances, line(2)) == 1).all()
    assert not outer_losses(distances, line()).any()
    assert not outer_contour(distances, 50).any()


@given(masks, st.data())
def test_losses_are_those_of_the_contours_and_fall(
    mask: NDArray[np.bool_], data: st.DataObject
) -> None:
    truth = data.draw(hnp.arrays(np.bool_, mask.shape))
    distances = signed_distance(mask, SPACING)
    inner, outer = inner_losses(distances, truth), outer_losses(distances, truth)
    assert (np.diff(inner) <= 0).all()
    assert (np.diff(outer) <= 0).all()
    for index in (0, 2, 4, 12):
        held = inner_contour(distances, MARGINS_MM[index])
        share = (held & ~truth).sum() / max(1, held.sum())
        assert inner[index] >= share - 1e-12
        missed = (truth & ~outer_contour(distances, MARGINS_MM[index])).sum() / max(1, truth.sum())
        assert outer[index] == pytest.approx(missed)


@given(masks)
def test_contours_are_nested_around_the_segmentation(mask: NDArray[np.bool_]) -> None:
    distances = signed_distance(mask, SPACING)
    np.testing.assert_array_equal(inner_contour(distances, 0), mask)
    np.testing.assert_array_equal(outer_contour(distances, 0), mask)
    for small, large in ((0.0, 0.5), (0.5, 1.0), (1.0, 3.0)):
        assert not (inner_contour(distances, large) & ~inner_contour(distances, small)).any()
        assert not (outer_contour(distances, small) & ~outer_contour(distances, large)).any()
