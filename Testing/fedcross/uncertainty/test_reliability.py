import numpy as np
import pytest

from fedcross.uncertainty.reliability import BINS, EDGES, Reliability, error_rates


def test_voxels_are_counted_in_bins_of_width_0_05() -> None:
    counts = Reliability()
    std = np.array([0.0, 0.049, 0.051, 0.26, 0.26, 0.5], np.float32).reshape(1, 2, 3)
    wrong = np.array([False, True, False, True, False, True]).reshape(1, 2, 3)
    counts.add(std, wrong)
    record = counts.record()
    assert record["voxels"] == [2, 1, 0, 0, 0, 2, 0, 0, 0, 1]
    assert record["wrong"] == [1, 0, 0, 0, 0, 1, 0, 0, 0, 1]
    assert EDGES[5] == pytest.approx(0.25)


def test_rates_sum_over_all_cases_and_are_none_for_bins_with_few_voxels() -> None:
    few, many = Reliability(), Reliability()
    few.add(np.full((1, 1, 19), 0.4, np.float32), np.ones((1, 1, 19), bool))
    few.add(np.zeros((1, 1, 2), np.float32), np.ones((1, 1, 2), bool))
    many.add(np.zeros((1, 1, 18), np.float32), np.zeros((1, 1, 18), bool))
    assert error_rates([few.record(), many.record()]) == [0.1] + [None] * (BINS - 1)
    assert error_rates([]) == [None] * BINS


def test_values_that_rounding_moves_out_of_range_count_in_the_outer_bins() -> None:
    counts = Reliability()
    counts.add(np.array([[[-1e-9, 0.5000001]]], np.float32), np.zeros((1, 1, 2), bool))
    assert counts.voxels.tolist() == [1, *[0] * (BINS - 2), 1]
