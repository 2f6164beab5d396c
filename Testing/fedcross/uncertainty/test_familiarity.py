"""The score of a case against the cases of sites, and the limit of what is usual."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from fedcross.uncertainty.familiarity import (
    FLOOR,
    FamiliarCases,
    join_small_sites,
    joined,
    leave_one_out,
    shrink,
    upper_limit,
)
from fedcross.uncertainty.moments import Moments

ONE = (np.array([0]),)


def known(*sites: list[float]) -> FamiliarCases:
    """Familiar cases with one property."""
    return FamiliarCases.of([Moments.of(np.array(site)[:, None]) for site in sites], ONE)


def test_the_score_of_one_property_by_hand() -> None:
    # Two sites of two cases, 2 apart: the scatter is 2 + 2 at 2 degrees of freedom, a variance of 2.
    cases = known([0.0, 2.0], [10.0, 12.0])
    assert cases.deviations[0] == pytest.approx(np.sqrt(2 + FLOOR**2))
    # 4 from the nearer mean of 11; a mean of two cases adds half of the variance.
    expected = 4 / np.sqrt((2 + FLOOR**2) * 1.5)
    assert cases.score(np.array([15.0])) == pytest.approx(expected)
    assert cases.score(np.array([11.0])) == 0


def test_the_score_is_the_largest_distance_over_the_groups_at_the_nearest_site() -> None:
    rng = np.random.default_rng(0)
    groups = (np.array([0, 1]), np.array([2]))
    sites = [Moments.of(rng.normal(offset, 1, (30, 3))) for offset in (0, 20)]
    cases = FamiliarCases.of(sites, groups)
    near = cases.means[1] + np.array([0, 0, 6 * cases.deviations[2]])
    assert cases.distances(near).shape == (2, 2)
    assert cases.score(near) == pytest.approx(6 / np.sqrt(1 + 1 / 30))
    # One property is usual at the first site and the others at the second: no site had this.
    mixed = np.array([0, 0, 20.0])
    assert cases.score(mixed) > 10


def test_a_property_that_never_varied_does_not_make_every_other_value_unusual() -> None:
    same = known([1.0] * 20)
    assert same.score(np.array([1.0 + FLOOR])) == pytest.approx(1 / np.sqrt(1 + 1 / 20))


@given(st.integers(0, 99), st.floats(-50, 50), st.sampled_from([-1.0, 1.0]))
def test_the_score_does_not_depend_on_the_zero_and_the_sign_of_the_properties(
    seed: int, shift: float, sign: float
) -> None:
    rng = np.random.default_rng(seed)
    rows, case = rng.normal(size=(8, 3)), rng.normal(size=3)
    groups = (np.array([0, 1]), np.array([2]))

    def score(scale: float, offset: float) -> float:
        moments = Moments.of(scale * rows + offset)
        return FamiliarCases.of([moments], groups).score(scale * case + offset)

    assert score(sign, shift) == pytest.approx(score(1.0, 0.0), rel=1e-6, abs=1e-9)


def test_correlations_of_few_cases_are_shrunk_and_of_many_kept() -> None:
    matrix = np.array([[1.0, 0.8], [0.8, 1.0]])
    # p = 2: trace(R^2) = 3.28, above = 0 + 4, below = n * (3.28 - 2).
    assert shrink(matrix, 10)[0, 1] == pytest.approx(0.8 * (1 - 4 / (10 * 1.28)))
    assert shrink(matrix, 2)[0, 1] == 0
    assert shrink(matrix, 10**6)[0, 1] == pytest.approx(0.8, abs=1e-4)
    assert shrink(np.ones((1, 1)), 5).tolist() == [[1.0]]


def test_sites_with_too_few_cases_are_taken_together() -> None:
    sites = [Moments.of(np.zeros((count, 1))) for count in (4, 1, 3, 2)]
    assert join_small_sites(sites) == [0, 2, 1, 2]
    assert [site.count for site in joined(sites)] == [4, 3, 3]


@pytest.mark.parametrize("own", [0, 1, 2])
def test_leaving_a_case_out_is_the_same_as_never_having_seen_it(own: int) -> None:
    rng = np.random.default_rng(own)
    rows = [rng.normal(size=(count, 2)) for count in (5, 4, 2)]
    groups = (np.array([0, 1]),)
    scores = leave_one_out([Moments.of(site) for site in rows], own, rows[own], groups)
    for index, case in enumerate(rows[own]):
        others = [np.delete(site, index, 0) if n == own else site for n, site in enumerate(rows)]
        without = FamiliarCases.of(map(Moments.of, others), groups)
        assert scores[index] == pytest.approx(without.score(case))


def test_the_limit_by_hand() -> None:
    # Five logarithms: mean 0, variance 2.5; the 95 % quantile of t with 4 degrees of freedom is 2.1318.
    logarithms = Moments.of(np.array([-2.0, -1, 0, 1, 2])[:, None])
    expected = np.exp(2.131847 * np.sqrt(2.5) * np.sqrt(1.2))
    assert upper_limit(logarithms, 0.05) == pytest.approx(expected, rel=1e-6)
    with pytest.raises(ValueError, match="2 scores, got 1"):
        upper_limit(Moments.of([[1.0]]), 0.05)


@pytest.mark.parametrize(("sites", "count"), [(1, 12), (4, 5), (3, 20)])
def test_about_one_in_twenty_familiar_cases_is_above_the_limit(sites: int, count: int) -> None:
    rng = np.random.default_rng(10 * sites + count)
    groups = (np.arange(4), np.arange(4, 10))
    alarms = []
    for _ in range(60):
        offsets = rng.normal(0, 3, (sites, 1, 10))
        rows = offsets + rng.normal(0, 1, (sites, count, 10))
        moments = [Moments.of(site) for site in rows]
        scores = [leave_one_out(moments, own, rows[own], groups) for own in range(sites)]
        limit = upper_limit(Moments.of(np.log(np.concatenate(scores))[:, None]), 0.05)
        cases = FamiliarCases.of(moments, groups)
        new = offsets[rng.integers(sites, size=20), 0] + rng.normal(0, 1, (20, 10))
        alarms += [cases.score(case) > limit for case in new]
    assert_allclose(np.mean(alarms), 0.05, atol=0.03)  # 1200 cases; the standard error is 0.006


def test_without_a_familiar_case_there_is_no_score() -> None:
    with pytest.raises(ValueError, match="no familiar case"):
        FamiliarCases.of([Moments.of(np.empty((0, 1)))], ONE)
