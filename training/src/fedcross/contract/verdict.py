"""The verdict on a structure, from the members' agreement or from a predicted Dice."""

import enum
from dataclasses import dataclass

from fedcross.contract.display import AGREE_FROM, TRUST_FROM

GOOD_DICE = 0.8
"""AGREE if the predicted Dice minus its error is at least this."""
POOR_DICE = 0.7
"""DISTRUST if the predicted Dice plus its error is below this."""


class Verdict(enum.StrEnum):
    """How far a structure's segmentation can be relied on."""

    AGREE = "agree"
    LOOK = "look"
    DISTRUST = "distrust"
    ABSENT = "absent"


class Basis(enum.StrEnum):
    """What a verdict was made from."""

    AGREEMENT = "agreement"
    PREDICTED_DICE = "predicted_dice"


@dataclass(frozen=True)
class Thresholds:
    """The two thresholds of the mean pairwise Dice; without a predicted Dice the verdict uses them.

    `fedcross.contract.display` explains the defaults. Dice is lower for small structures: use lower
    thresholds for them.

    Attributes
    ----------
    agree
        From this Dice on the verdict is AGREE; 0 to 1.
    trust
        Below this Dice the verdict is DISTRUST; 0 to 1.
    """

    agree: float = AGREE_FROM
    trust: float = TRUST_FROM


@dataclass(frozen=True)
class PredictedDice:
    """The Dice with the truth that a calibrated bundle expects, and its error.

    Attributes
    ----------
    dice
        0 to 1.
    error
        Root mean square of the differences between predicted and true Dice; 0 to 1.
    """

    dice: float
    error: float


def judge(
    volume_ml: float,
    smallest_ml: float,
    largest_ml: float,
    agreement: float | None,
    *,
    predicted: PredictedDice | None = None,
    thresholds: Thresholds | None = None,
) -> Verdict:
    """Return the verdict on a structure.

    Parameters
    ----------
    volume_ml
        Volume in the ensemble's segmentation.
    smallest_ml, largest_ml
        Smallest and largest volume among the members.
    agreement
        Mean Dice of all pairs of members; None with one member, or if no member found the structure.
    predicted
        The predicted Dice; None if the bundle is not calibrated.
    thresholds
        Thresholds of the agreement; None is the default.

    Returns
    -------
    Verdict
        ABSENT if no member found the structure. DISTRUST if some members found it and others did not.
        Otherwise by the predicted Dice with `GOOD_DICE` and `POOR_DICE`. Without a predicted Dice, LOOK
        if there is only one member, and by the agreement if there are several.
    """
    if largest_ml == 0 and volume_ml == 0:
        return Verdict.ABSENT
    if smallest_ml == 0 and largest_ml > 0:
        return Verdict.DISTRUST
    if predicted is not None:
        if predicted.dice - predicted.error >= GOOD_DICE:
            return Verdict.AGREE
        return Verdict.DISTRUST if predicted.dice + predicted.error < POOR_DICE else Verdict.LOOK
    if agreement is None:
        return Verdict.LOOK
    thresholds = thresholds or Thresholds()
    if agreement < thresholds.trust:
        return Verdict.DISTRUST
    return Verdict.AGREE if agreement >= thresholds.agree else Verdict.LOOK
