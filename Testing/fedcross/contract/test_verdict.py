"""The verdict on a structure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcross.contract.verdict import PredictedDice, Thresholds, Verdict, judge

shares = st.floats(0, 1)


@pytest.mark.parametrize(
    ("agreement", "expected"),
    [
        (0.9, Verdict.AGREE),
        (0.8999, Verdict.LOOK),
        (0.75, Verdict.LOOK),
        (0.7499, Verdict.DISTRUST),
        (None, Verdict.LOOK),
    ],
)
def test_without_a_predicted_dice_the_agreement_decides(
    agreement: float | None, expected: Verdict
) -> None:
    assert judge(30, 29, 31, agreement) is expected


@pytest.mark.parametrize(
    ("dice", "error", "expected"),
    [
        (0.875, 0.0625, Verdict.AGREE),
        (0.85, 0.0625, Verdict.LOOK),  # 0.7875 with the error
        (0.65, 0.0625, Verdict.LOOK),  # 0.7125 with the error
        (0.625, 0.0625, Verdict.DISTRUST),
        (0.8, 0.0, Verdict.AGREE),
        (0.7, 0.0, Verdict.LOOK),
    ],
)
def test_the_predicted_dice_and_its_error_decide_and_not_the_agreement(
    dice: float, error: float, expected: Verdict
) -> None:
    for agreement in (0.0, 0.93, 1.0, None):
        assert judge(30, 29, 31, agreement, predicted=PredictedDice(dice, error)) is expected


@given(shares, shares, shares)
def test_a_structure_that_only_some_members_find_is_never_trusted(
    agreement: float, dice: float, error: float
) -> None:
    predicted = PredictedDice(dice, error)
    assert judge(2, 0, 4, agreement, predicted=predicted) is Verdict.DISTRUST
    assert judge(0, 0, 4, agreement) is Verdict.DISTRUST


def test_a_structure_that_no_member_finds_is_absent_whatever_is_predicted() -> None:
    assert judge(0, 0, 0, None) is Verdict.ABSENT
    assert judge(0, 0, 0, 1.0, predicted=PredictedDice(0.9, 0.01)) is Verdict.ABSENT


@given(shares, shares, shares)
def test_a_larger_error_never_makes_a_verdict_firm(dice: float, error: float, more: float) -> None:
    firm = judge(30, 29, 31, None, predicted=PredictedDice(dice, error))
    loose = judge(30, 29, 31, None, predicted=PredictedDice(dice, error + more))
    assert loose in (firm, Verdict.LOOK)


def test_other_thresholds_of_the_agreement_give_other_verdicts() -> None:
    lenient = Thresholds(agree=0.8, trust=0.5)
    assert judge(30, 29, 31, 0.82, thresholds=lenient) is Verdict.AGREE
    assert judge(30, 29, 31, 0.6, thresholds=lenient) is Verdict.LOOK
