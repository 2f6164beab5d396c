"""The smallest set that keeps a promise on its risk."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcross.uncertainty.risk_control import (
    POOLINGS,
    Floats,
    RiskCurves,
    fewest_cases,
    random_effects,
    risk_bound,
    site_limit,
    smallest_index,
)


def falling(rng: np.random.Generator, cases: int, sizes: int = 5) -> Floats:
    """Losses of some cases that fall along the grid."""
    return np.flip(np.sort(rng.uniform(0, 1, (cases, sizes)), axis=1), axis=1)


@st.composite
def federations(draw: st.DrawFn) -> list[Floats]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    counts = draw(st.lists(st.integers(1, 12), min_size=1, max_size=6))
    return [falling(rng, count) for count in counts]


def test_a_promise_needs_one_over_alpha_minus_one_cases() -> None:
    assert [fewest_cases(alpha) for alpha in (0.05, 0.1, 0.5)] == [19, 9, 1]
    for cases, index in ((9, 0), (8, -1)):
        perfect = RiskCurves.of_losses([np.zeros((cases, 1))])
        assert smallest_index(risk_bound(perfect, "pooled"), 0.1) == index


def test_the_pooled_bound_is_that_of_conformal_risk_control() -> None:
    curves = RiskCurves.of_losses([np.array([[0.5, 0.25], [0.25, 0.0]]), np.array([[1.0, 0.0]])])
    # Losses 0.5, 0.25, 1 and 0.25, 0, 0 of three cases, and one more for the bound.
    np.testing.assert_allclose(risk_bound(curves, "pooled"), [2.75 / 4, 1.25 / 4])


def test_the_bound_per_site_is_the_largest_of_the_sites() -> None:
    curves = RiskCurves.of_losses([np.array([[0.5, 0.25], [0.25, 0.0]]), np.array([[1.0, 0.0]])])
    # Site 0: 1.75 / 3 and 1.25 / 3; site 1: 2 / 2 and 1 / 2.
    np.testing.assert_allclose(risk_bound(curves, "per-site"), [1.0, 0.5])


def test_the_variance_between_sites_equals_hand_computed_numbers() -> None:
    curves = RiskCurves.of_losses([np.array([[0.1], [0.3]]), np.array([[0.5], [0.7]])])
    # Means 0.2 and 0.6. Within: 4 * 0.01 / (4 - 2) = 0.02. Among: 2 * 0.2^2 * 2 = 0.16.
    # Between: (0.16 - 0.02) / (4 - 8 / 4) = 0.07. Error of the mean: (0.07 + 0.02 / 2) / 2 = 0.04.
    mean, error, between = random_effects(curves)
    np.testing.assert_allclose([mean[0], error[0], between[0]], [0.4, 0.04, 0.07])
    # Student's t with one degree of freedom at 0.9 is tan(0.4 pi).
    expected = 0.4 + math.tan(0.4 * math.pi) * math.sqrt(0.11)
    np.testing.assert_allclose(site_limit(curves), [expected])


def test_sites_that_are_alike_differ_by_nothing() -> None:
    losses = np.array([[0.1], [0.3]])
    _, _, between = random_effects(RiskCurves.of_losses([losses] * 5))
    assert between[0] == 0


def test_a_single_site_has_the_pooled_bound() -> None:
    curves = RiskCurves.of_losses([falling(np.random.default_rng(1), 7)])
    for pooling in POOLINGS:
        np.testing.assert_array_equal(risk_bound(curves, pooling), risk_bound(curves, "pooled"))


@given(federations())
def test_shrunk_is_never_below_pooled_and_all_bounds_are_finite(sites: list[Floats]) -> None:
    curves = RiskCurves.of_losses(sites)
    pooled, shrunk = risk_bound(curves, "pooled"), risk_bound(curves, "shrunk")
    assert (shrunk >= pooled).all()
    assert all(np.isfinite(risk_bound(curves, pooling)).all() for pooling in POOLINGS)


@given(federations(), st.floats(0.01, 0.9), st.floats(0.01, 0.9))
def test_a_stricter_promise_never_gives_a_smaller_set(
    sites: list[Floats], one: float, other: float
) -> None:
    bound = risk_bound(RiskCurves.of_losses(sites), "shrunk")
    strict, lenient = (int(smallest_index(bound, each)) for each in sorted((one, other)))
    assert strict == -1 or 0 <= lenient <= strict


@given(federations(), federations())
def test_many_federations_at_once_give_the_same_as_each_alone(
    one: list[Floats], other: list[Floats]
) -> None:
    sites = min(len(one), len(other))
    each = [RiskCurves.of_losses(losses[:sites]) for losses in (one, other)]
    both = RiskCurves(
        np.stack([curves.cases for curves in each]),
        np.stack([curves.sums for curves in each]),
        np.stack([curves.squares for curves in each]),
    )
    for pooling in POOLINGS:
        expected = np.stack([risk_bound(curves, pooling) for curves in each])
        np.testing.assert_allclose(risk_bound(both, pooling), expected, atol=1e-12)


def test_a_bound_that_rises_again_counts_only_from_where_it_stays_low() -> None:
    assert smallest_index(np.array([0.05, 0.2, 0.1, 0.05]), 0.1) == 2
    assert smallest_index(np.array([[0.3, 0.2], [0.1, 0.1]]), 0.1).tolist() == [-1, 0]


@pytest.mark.parametrize("alpha", [0.1, 0.2])
def test_the_expected_loss_of_a_new_case_is_at_most_alpha(alpha: float) -> None:
    rng = np.random.default_rng(3)
    grid = np.linspace(0, 1, 51)
    new_losses = []
    for _ in range(1000):
        needed = rng.uniform(0, 1, 30)  # a set of size g has the loss 1 where more is needed
        losses = (needed[:, None] > grid).astype(np.float64)
        index = smallest_index(risk_bound(RiskCurves.of_losses([losses[:-1]]), "pooled"), alpha)
        new_losses.append(losses[-1, int(index)])
    # Four standard errors of the mean of 1,000 binary losses.
    assert np.mean(new_losses) <= alpha + 4 * math.sqrt(alpha * (1 - alpha) / 1000)
    assert np.mean(new_losses) >= alpha - 0.06  # and it is not far from using the promise up


def test_shrunk_keeps_the_promise_at_more_sites_than_pooled() -> None:
    rng = np.random.default_rng(5)
    grid, alpha = np.linspace(0, 6, 61), 0.1
    broken = dict.fromkeys(POOLINGS, 0)
    for _ in range(100):
        scales = np.exp(0.5 * rng.standard_normal(20))  # loss exp(-size / scale), without noise
        losses = [np.exp(-grid / scale)[None].repeat(10, axis=0) * 0.3 for scale in scales]
        for pooling in ("pooled", "shrunk"):
            index = smallest_index(risk_bound(RiskCurves.of_losses(losses), pooling), alpha)
            broken[pooling] += sum(each[0, int(index)] > alpha for each in losses)
    assert broken["shrunk"] / 100 <= 2.7 < 6 < broken["pooled"] / 100
