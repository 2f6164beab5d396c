"""Which voxels are near the structures, and how well a score finds the wrong ones."""

import numpy as np
import pytest

from fedcross.study.evaluate.voxels import average_precision, border_distance, near_borders


def test_average_precision_equals_a_number_derived_by_hand() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    wrong = np.array([True, False, True, False])
    # Precision 1 at half of the errors, 2/3 at all of them.
    assert average_precision(scores, wrong) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_without_wrong_or_without_right_voxels_there_is_no_average_precision() -> None:
    assert average_precision(np.ones(3), np.zeros(3, bool)) is None
    assert average_precision(np.ones(3), np.ones(3, bool)) is None


def test_the_band_reaches_from_the_borders_of_both_label_maps_in_millimetres() -> None:
    truth, labels = np.zeros((1, 1, 30), np.uint8), np.zeros((1, 1, 30), np.uint8)
    truth[0, 0, :5] = 1  # border voxels 4 and 5
    labels[0, 0, 20:] = 1  # border voxels 19 and 20
    near = near_borders(truth, labels, (2.0, 1.0, 1.0), 4.5)  # two voxels of 2 mm
    assert np.flatnonzero(near).tolist() == [2, 3, 4, 5, 6, 7, 17, 18, 19, 20, 21, 22]


def test_nothing_is_near_the_borders_of_empty_label_maps() -> None:
    nothing = np.zeros((2, 3, 4), np.uint8)
    assert not near_borders(nothing, nothing, (1.0, 1.0, 1.0), 10.0).any()
    assert not border_distance(nothing, (1.0, 1.0, 1.0)).any()


def test_the_distance_to_the_border_is_the_same_on_both_sides() -> None:
    labels = np.array([[[0, 0, 0, 1, 1, 1]]], np.uint8)
    assert border_distance(labels, (3.0, 1.0, 1.0))[0, 0].tolist() == [6, 3, 0, 0, 3, 6]
