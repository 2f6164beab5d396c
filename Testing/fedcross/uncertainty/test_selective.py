"""Risk-coverage curves, against numbers derived by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcross.uncertainty.selective import rank_correlation, risk_coverage

RISKS = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_the_curve_of_three_cases_equals_numbers_derived_by_hand() -> None:
    # Kept in the order of the confidence: risks 0.1, 0.6, 0.2.
    found = risk_coverage([0.5, 0.9, 0.7], [0.2, 0.1, 0.6])
    assert found is not None
    assert found.coverage == pytest.approx((1 / 3, 2 / 3, 1))
    assert found.risk == pytest.approx((0.1, 0.35, 0.3))
    assert found.aurc == pytest.approx((0.1 + 0.35 + 0.3) / 3)
    # The best order: 0.1, 0.2, 0.6.
    assert found.excess_aurc == pytest.approx(found.aurc - (0.1 + 0.15 + 0.3) / 3)
    assert found.random_aurc == pytest.approx(0.3)


def test_equal_confidences_give_the_expected_area_of_a_random_order() -> None:
    found = risk_coverage([1.0, 1.0, 1.0], [0.0, 0.3, 0.9])
    assert found is not None
    assert found.risk == pytest.approx((0.4, 0.4, 0.4))
    assert found.aurc == pytest.approx(found.random_aurc)


@given(RISKS)
def test_the_risk_itself_is_the_best_confidence(risks: list[float]) -> None:
    found = risk_coverage([-risk for risk in risks], risks)
    assert found is not None
    assert found.excess_aurc == pytest.approx(0, abs=1e-12)


@given(RISKS, st.randoms())
def test_no_order_is_better_than_the_best(risks: list[float], random: "st.DataObject") -> None:
    confidences = [random.random() for _ in risks]  # type: ignore[attr-defined]
    found = risk_coverage(confidences, risks)
    assert found is not None
    assert found.excess_aurc >= -1e-12
    assert found.risk[-1] == pytest.approx(found.random_aurc)


def test_without_cases_there_is_no_curve() -> None:
    assert risk_coverage([], []) is None


def test_the_rank_correlation_does_not_depend_on_the_scale() -> None:
    assert rank_correlation([1, 2, 3, 4], [0.1, 0.2, 10, 11]) == pytest.approx(1)
    # Ranks 1 2 3 4 and 2 1 4 3: 1 - 6 * 4 / (4 * 15).
    assert rank_correlation([1, 2, 3, 4], [2, 1, 4, 3]) == pytest.approx(0.6)


def test_a_constant_or_too_few_cases_have_no_rank_correlation() -> None:
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None
    assert rank_correlation([1, 2], [1, 2]) is None


@pytest.mark.parametrize("risks", [[0.1], [0.1, float("nan")]])
def test_missing_or_infinite_numbers_are_refused(risks: list[float]) -> None:
    with pytest.raises(ValueError, match=r"as many|finite"):
        risk_coverage([0.5, 0.6], risks)
