"""The Dice predicted from the members' agreement."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcross.uncertainty.predicted_dice import BINS, DiceLine, count_cases, fit_line

shares = st.floats(0, 1)
cases = st.lists(st.tuples(shares, shares), min_size=3, max_size=40)


def counts_of(pairs: list[tuple[float, float]]) -> np.ndarray:
    return count_cases(np.array([a for a, _ in pairs]), np.array([d for _, d in pairs]))


def test_cases_are_counted_in_cells_of_a_fiftieth() -> None:
    counts = counts_of([(0.0, 1.0), (0.019, 0.999), (0.93, 0.71), (1.0, 0.0)])
    assert counts.shape == (BINS, BINS)
    assert counts[0, 49] == 2
    assert counts[46, 35] == 1
    assert counts[49, 0] == 1
    assert counts.sum() == 4


def test_cases_on_a_line_give_that_line() -> None:
    agreements = np.arange(5, 45) / BINS + 0.01  # middles of cells
    line = fit_line(count_cases(agreements, 0.1 + 0.5 * (agreements - 0.01) + 0.001))
    assert line is not None
    assert line.slope == pytest.approx(0.5, abs=0.02)
    assert line.predict(0.5) == pytest.approx(0.36, abs=0.02)
    # 40 cases within half a cell and two cases of 0.15: the root of 2 * 0.0225 / 42 and a little more.
    assert 0.0327 <= line.error <= 0.0345


def test_fewer_than_three_cases_predict_nothing() -> None:
    assert fit_line(counts_of([(0.9, 0.8), (0.8, 0.7)])) is None
    assert fit_line(counts_of([])) is None


def test_cases_with_one_agreement_have_a_slope_of_1_and_their_mean_dice() -> None:
    line = fit_line(counts_of([(0.93, 0.69), (0.93, 0.71), (0.93, 0.73)]))
    assert line is not None
    assert line.slope == pytest.approx(1.0)
    assert line.predict(0.93) == pytest.approx(0.71, abs=0.001)
    assert line.error > 0.09  # three cases do not promise the error of 0.02 that they show


def test_a_failure_leaves_the_line_and_enlarges_the_error() -> None:
    good = [(0.8 + 0.01 * step, 0.75 + 0.01 * step) for step in range(16)]
    without, with_one = fit_line(counts_of(good)), fit_line(counts_of([*good, (0.9, 0.05)]))
    assert without is not None
    assert with_one is not None
    assert with_one.predict(0.9) == pytest.approx(without.predict(0.9), abs=0.02)
    assert with_one.error > 3 * without.error


def test_the_prediction_stays_from_0_to_1() -> None:
    line = DiceLine(-0.5, 2.0, 0.1)
    assert [line.predict(agreement) for agreement in (0.1, 0.5, 1.0)] == [0.0, 0.5, 1.0]


@given(cases)
def test_a_higher_agreement_never_predicts_a_lower_dice(pairs: list[tuple[float, float]]) -> None:
    line = fit_line(counts_of(pairs))
    assert line is not None
    assert line.slope >= 0
    assert 0 < line.error <= 1
    assert np.isfinite([line.intercept, line.slope]).all()


@given(cases, cases)
def test_the_counts_of_two_sites_add_up(
    one: list[tuple[float, float]], other: list[tuple[float, float]]
) -> None:
    np.testing.assert_array_equal(counts_of(one) + counts_of(other), counts_of([*one, *other]))
