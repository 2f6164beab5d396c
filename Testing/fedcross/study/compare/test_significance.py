import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcross.study.compare.significance import holm, over_seeds, paired_test


def cases(*values: float) -> dict[tuple[str, str], float]:
    return {("s", f"c{index}"): value for index, value in enumerate(values)}


def test_the_deviation_over_seeds_is_the_sample_standard_deviation() -> None:
    spread = over_seeds([1.0, 2.0, 6.0])
    assert (spread.mean, spread.deviation) == (3.0, pytest.approx(7**0.5))  # (4 + 1 + 9) / 2
    assert over_seeds([0.5]).deviation is None


def test_the_signed_rank_test_is_exact_for_few_cases() -> None:
    # All of six cases better: the two most extreme of 2^6 equally likely patterns of signs.
    test = paired_test(
        cases(0.91, 0.82, 0.73, 0.64, 0.55, 0.46), cases(0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
    )
    assert (test.cases, test.p) == (6, pytest.approx(2 / 64))
    assert test.difference == pytest.approx((0.01 + 0.02 + 0.03 + 0.04 + 0.05 + 0.06) / 6)


def test_one_small_negative_difference_gives_the_exact_p_value() -> None:
    # Differences 4, 3, 2, -1: the rank sum of the losses is 1, which 2 of 16 patterns reach (none
    # negative, only the smallest), and as many at the other end.
    test = paired_test(cases(4, 3, 2, 0), cases(0, 0, 0, 1))
    assert test.p == pytest.approx(4 / 16)


def test_equal_methods_have_no_p_value() -> None:
    test = paired_test(cases(0.5, 0.6), cases(0.5, 0.6))
    assert (test.p, test.difference) == (None, 0)


def test_two_methods_with_different_cases_are_refused() -> None:
    with pytest.raises(ValueError, match="same cases, got 2 and 1"):
        paired_test(cases(1, 2), cases(1))
    with pytest.raises(ValueError, match="same cases"):
        paired_test({}, {})


def test_holm_multiplies_the_smallest_value_most_and_keeps_the_order() -> None:
    corrected = holm({"a": 0.03, "b": 0.01, "c": 0.04, "d": None})
    # 3 * 0.01; 2 * 0.03; then 0.04 alone, but not below the one before.
    assert corrected == {
        "a": pytest.approx(0.06),
        "b": pytest.approx(0.03),
        "c": pytest.approx(0.06),
        "d": None,
    }
    assert holm({"a": 0.7, "b": 0.8}) == {"a": 1.0, "b": 1.0}


@given(st.dictionaries(st.text(), st.floats(0, 1), min_size=1))
def test_holm_never_makes_a_value_smaller(p_values: dict[str, float]) -> None:
    corrected = holm(p_values)
    assert all(p_values[name] <= corrected[name] <= 1 for name in p_values)
    ranked = sorted(p_values, key=lambda name: p_values[name])
    assert [corrected[n] for n in ranked] == sorted(corrected.values())
