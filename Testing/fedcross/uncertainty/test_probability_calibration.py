"""Calibration of probabilities, against numbers derived by hand and against scikit-learn."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss

from fedcross.uncertainty.probability_calibration import BINS, CalibrationCounts

PROBABILITIES = hnp.arrays(np.float32, 40, elements=st.floats(0, 1, width=32))


def counted(probability: list[float], event: list[bool]) -> CalibrationCounts:
    counts = CalibrationCounts()
    counts.add(np.array(probability), np.array(event))
    return counts


def test_the_errors_of_four_voxels_equal_numbers_derived_by_hand() -> None:
    # Two bins: 0.82 and 0.84 with one event of two, 0.11 and 0.13 with none.
    counts = counted([0.82, 0.84, 0.11, 0.13], [True, False, False, False])
    assert counts.expected_calibration_error() == pytest.approx((2 * 0.33 + 2 * 0.12) / 4)
    assert counts.brier_score() == pytest.approx((0.18**2 + 0.84**2 + 0.11**2 + 0.13**2) / 4)
    first, second = counts.curve()
    assert first == pytest.approx((0.12, 0.0, 2))
    assert second == pytest.approx((0.83, 0.5, 2))


def test_a_probability_of_one_counts_in_the_last_bin() -> None:
    assert counted([1.0], [True]).voxels.tolist() == [0] * (BINS - 1) + [1]


def test_a_certain_and_right_probability_has_no_error() -> None:
    counts = counted([0.0, 1.0], [False, True])
    assert (counts.expected_calibration_error(), counts.brier_score()) == (0.0, 0.0)


def test_without_voxels_there_is_no_error() -> None:
    counts = CalibrationCounts()
    assert (counts.expected_calibration_error(), counts.brier_score()) == (None, None)
    assert counts.curve() == []


@given(PROBABILITIES, hnp.arrays(np.bool_, 40))
def test_the_brier_score_is_that_of_scikit_learn(
    probability: NDArray[np.float32], event: NDArray[np.bool_]
) -> None:
    counts = CalibrationCounts()
    counts.add(probability, event)
    expected = brier_score_loss(event, probability.astype(np.float64), pos_label=True)
    assert counts.brier_score() == pytest.approx(expected)


@given(PROBABILITIES, hnp.arrays(np.bool_, 40), st.integers(0, 40))
def test_the_sum_of_records_is_the_record_of_all_voxels(
    probability: NDArray[np.float32], event: NDArray[np.bool_], cut: int
) -> None:
    parts = []
    for part in (slice(cut), slice(cut, None)):
        counts = CalibrationCounts()
        counts.add(probability[part], event[part])
        parts.append(json.loads(json.dumps(counts.record())))
    whole = CalibrationCounts()
    whole.add(probability, event)
    total = CalibrationCounts.total(parts)
    assert total.voxels.tolist() == whole.voxels.tolist()
    assert total.positive.tolist() == whole.positive.tolist()
    assert total.expected_calibration_error() == pytest.approx(whole.expected_calibration_error())


def test_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        CalibrationCounts().add(np.zeros(2), np.zeros(3, bool))
