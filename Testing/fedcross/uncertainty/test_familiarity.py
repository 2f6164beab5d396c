"""The score of a case against the cases of sites, and the limit of what is usual."""

from dataclasses import replace

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
    shrink,
)
from fedcross.uncertainty.familiarity_limit import (
    LEAST_DISTANCE,
    LeftOut,
    leave_one_out,
    upper_limits,
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
    left_out = leave_one_out([Moments.of(site) for site in rows], own, rows[own], groups)
    for index, case in enumerate(rows[own]):
        others = [np.delete(site, index, 0) if n == own else site for n, site in enumerate(rows)]
        without = FamiliarCases.of(map(Moments.of, others), groups)
        expected = without.distances(case)
        assert_allclose(left_out[index].distances, expected)
        assert_allclose(left_out[index].own, np.log(np.maximum(expected[own], LEAST_DISTANCE)))


def test_the_only_case_of_a_site_is_compared_with_the_nearest_other_site() -> None:
    sites = [Moments.of(np.array(each)[:, None]) for each in ([0.0, 1, 2, 3], [9.0, 10, 11], [5.0])]
    (alone,) = leave_one_out(sites, 2, np.array([[5.0]]), ONE)
    assert alone.distances.shape == (2, 1)
    assert alone.own[0] == pytest.approx(np.log(alone.distances.min()))


def test_the_limits_by_hand() -> None:
    # Five logarithms: mean 0, variance 2.5; the 95 % quantile of t with 4 degrees of freedom is 2.1318.
    logarithms = Moments.of(np.array([[-2.0, 7], [-1, 7], [0, 7], [1, 7], [2, 7]]))
    expected = np.exp(2.131847 * np.sqrt(2.5) * np.sqrt(1.2))
    assert_allclose(upper_limits(logarithms, 0.05), [expected, np.exp(7)], rtol=1e-6)
    with pytest.raises(ValueError, match="2 numbers, got 1"):
        upper_limits(Moments.of([[1.0]]), 0.05)


def test_a_group_is_compared_with_what_is_usual_in_it() -> None:
    groups = (np.array([0]), np.array([1]))
    plain = FamiliarCases.of([Moments.of(np.zeros((9, 2)))], groups)
    scaled = replace(plain, scales=np.array([10.0, 1.0]))
    case = np.array([8.0, 1.0])
    first, second = plain.distances(case)[0]
    assert plain.score(case) == first
    assert scaled.score(case) == pytest.approx(max(first / 10, second))
    assert scaled.ratios(case)[0].tolist() == pytest.approx([first / 10, second])


def test_the_scales_of_a_case_that_is_left_out_do_not_depend_on_it() -> None:
    usual = np.array([[0.0], [0.5], [1.0], [5.0]])
    far = LeftOut(np.exp([[5.0]]), np.array([5.0]))
    limit = upper_limits(Moments.of(usual[:3]), 0.05)[0]
    assert far.score(Moments.of(usual), 0.05) == pytest.approx(np.exp(5) / limit)


@pytest.mark.parametrize(
    ("sites", "count", "lowest"), [(1, 12, 0.01), (4, 5, 0.01), (3, 20, 0.025)]
)
def test_at_most_about_one_in_twenty_familiar_cases_is_above_the_limit(
    sites: int, count: int, lowest: float
) -> None:
    # With few cases the rate is lower, because the scales of a case that is left out vary.
    rng = np.random.default_rng(10 * sites + count)
    groups = (np.arange(4), np.arange(4, 10))
    alarms = []
    for _ in range(60):
        offsets = rng.normal(0, 3, (sites, 1, 10))
        rows = offsets + rng.normal(0, 1, (sites, count, 10))
        moments = [Moments.of(site) for site in rows]
        left_out = [
            each for own in range(sites) for each in leave_one_out(moments, own, rows[own], groups)
        ]
        usual = Moments.of(np.array([each.own for each in left_out]))
        scores = np.log([each.score(usual, 0.05) for each in left_out])
        (limit,) = upper_limits(Moments.of(scores[:, None]), 0.05)
        cases = FamiliarCases.of(moments, groups)
        cases = replace(cases, scales=upper_limits(usual, 0.05))
        new = offsets[rng.integers(sites, size=20), 0] + rng.normal(0, 1, (20, 10))
        alarms += [cases.score(case) > limit for case in new]
    assert lowest < np.mean(alarms) < 0.065  # of 1200 cases; the standard error is 0.006


def test_without_a_familiar_case_there_is_no_score() -> None:
    with pytest.raises(ValueError, match="no familiar case"):
        FamiliarCases.of([Moments.of(np.empty((0, 1)))], ONE)
