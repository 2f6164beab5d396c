import numpy as np
import pytest

from fedcross.uncertainty.discrimination import auroc


def test_a_score_that_ranks_every_error_first_has_area_one() -> None:
    assert auroc(np.array([0.1, 0.2, 0.9]), np.array([False, False, True])) == 1.0


def test_one_of_four_pairs_in_the_wrong_order_has_area_three_quarters() -> None:
    scores = np.array([0.1, 0.4, 0.3, 0.8])
    wrong = np.array([False, False, True, True])
    assert auroc(scores, wrong) == 0.75


def test_a_constant_score_is_chance() -> None:
    assert auroc(np.ones((2, 2)), np.array([[True, False], [False, False]])) == 0.5


def test_nothing_wrong_has_no_area() -> None:
    assert auroc(np.ones(3), np.zeros(3, dtype=bool)) is None


def test_different_shapes_are_a_programming_error() -> None:
    with pytest.raises(ValueError, match="one shape"):
        auroc(np.ones(3), np.zeros(2, dtype=bool))
