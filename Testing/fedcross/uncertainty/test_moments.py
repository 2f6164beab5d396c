"""Moments are added over sites without loss, and a case can be taken out again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from fedcross.uncertainty.moments import Moments, merge


def table(draw: st.DrawFn, columns: int) -> NDArray[np.float64]:
    rows = draw(st.integers(0, 6))
    numbers = st.floats(-100, 100, allow_subnormal=False)
    cells = draw(st.lists(numbers, min_size=rows * columns, max_size=rows * columns))
    return np.array(cells, dtype=np.float64).reshape(rows, columns)


@st.composite
def sites(draw: st.DrawFn) -> list[NDArray[np.float64]]:
    columns = draw(st.integers(1, 4))
    return [table(draw, columns) for _ in range(draw(st.integers(1, 5)))]


def same(one: Moments, other: Moments) -> None:
    assert one.count == other.count
    assert_allclose(one.mean, other.mean, atol=1e-9)
    assert_allclose(one.scatter, other.scatter, atol=1e-9, rtol=1e-9)


def test_moments_of_three_points_by_hand() -> None:
    found = Moments.of([[1, 0], [2, 2], [3, 4]])
    assert found.count == 3
    assert found.mean.tolist() == [2, 2]
    assert found.scatter.tolist() == [[2, 4], [4, 8]]


@given(sites())
def test_the_sum_over_sites_is_that_of_all_cases_together(
    tables: list[NDArray[np.float64]],
) -> None:
    same(merge(map(Moments.of, tables)), Moments.of(np.concatenate(tables)))


@given(sites())
def test_a_case_that_is_left_out_leaves_no_trace(tables: list[NDArray[np.float64]]) -> None:
    rows = np.concatenate(tables)
    for index in range(len(rows)):
        same(Moments.of(rows).without(rows[index]), Moments.of(np.delete(rows, index, axis=0)))


def test_a_small_spread_far_from_zero_is_kept() -> None:
    rows = 1e8 + np.array([[0.0], [1.0], [2.0], [3.0]])
    both = Moments.of(rows[:2]) + Moments.of(rows[2:])
    assert both.scatter[0, 0] == pytest.approx(5.0, abs=1e-6)


def test_what_is_not_finite_or_no_table_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        Moments.of([[np.nan]])
    with pytest.raises(ValueError, match="shape"):
        Moments.of([1.0, 2.0])
    with pytest.raises(ValueError, match="no vector"):
        Moments.of(np.empty((0, 2))).without(np.zeros(2))
