import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from fedcross.uncertainty.discrimination import auroc


def test_a_score_that_ranks_every_wrong_voxel_highest_has_area_1() -> None:
    assert auroc(np.array([0.1, 0.2, 0.9]), np.array([False, False, True])) == 1.0


def test_one_of_four_pairs_in_the_wrong_order_gives_area_three_quarters() -> None:
    scores = np.array([0.1, 0.4, 0.3, 0.8])
    wrong = np.array([False, False, True, True])
    assert auroc(scores, wrong) == 0.75


def test_a_constant_score_has_area_one_half() -> None:
    assert auroc(np.ones((2, 2)), np.array([[True, False], [False, False]])) == 0.5


def test_the_area_is_none_if_no_voxel_is_wrong() -> None:
    assert auroc(np.ones(3), np.zeros(3, dtype=bool)) is None


def test_different_shapes_raise_value_error() -> None:
    with pytest.raises(ValueError, match="one shape"):
        auroc(np.ones(3), np.zeros(2, dtype=bool))


@given(
    hnp.arrays(np.float32, 30, elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])),
    hnp.arrays(np.bool_, 30),
)
def test_the_area_is_that_of_scikit_learn(
    scores: NDArray[np.float32], wrong: NDArray[np.bool_]
) -> None:
    assume(0 < wrong.sum() < wrong.size)
    assert auroc(scores, wrong) == pytest.approx(roc_auc_score(wrong, scores))
