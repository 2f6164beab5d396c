"""The fields of a summary that only a calibrated bundle gives. Each may be missing or null."""

from collections.abc import Mapping
from typing import Any

from fedcross.contract.figures import VolumeInterval
from fedcross.contract.plain_text import plain_text
from fedcross.contract.verdict import Basis, PredictedDice, Verdict
from FedCrossSlicerLib.bundle.numbers import finiteNumber, shareNumber
from FedCrossSlicerLib.bundle.result import Familiarity

MAX_REASONS = 5
REASON_CHARACTERS = 120


def intervalOf(structure: Mapping[str, Any]) -> VolumeInterval | None:
    """Return the volume interval of a structure's entry.

    Returns
    -------
    VolumeInterval or None
        None without both `interval_ml` and `interval_coverage`: an interval of unknown coverage says
        nothing.

    Raises
    ------
    ValueError, TypeError
        If the ends are not two ordered numbers from 0 on, or the coverage is not between 0 and 1.
    """
    ends, coverage = structure.get("interval_ml"), structure.get("interval_coverage")
    if ends is None or coverage is None:
        return None
    low, high = (finiteNumber(end) for end in ends)
    if not 0 <= low <= high or not 0 < shareNumber(coverage) < 1:
        raise ValueError(f"expected an interval of volumes, got {ends} with coverage {coverage}")
    return VolumeInterval(low, high, shareNumber(coverage))


def predictedDiceOf(structure: Mapping[str, Any]) -> PredictedDice | None:
    """Return the predicted Dice of a structure's entry.

    Returns
    -------
    PredictedDice or None
        None if the verdict is from the agreement, or if the Dice or its error is missing.

    Raises
    ------
    ValueError, TypeError
        If Dice or error is not from 0 to 1.
    """
    dice, error = structure.get("predicted_dice"), structure.get("predicted_dice_error")
    if structure.get("verdict_basis") != Basis.PREDICTED_DICE or dice is None or error is None:
        return None
    return PredictedDice(shareNumber(dice), shareNumber(error))


def verdictOf(structure: Mapping[str, Any]) -> Verdict | None:
    """Return the verdict of a structure's entry that is from the predicted Dice; None for another.

    A verdict from the agreement is computed again, with the thresholds of the user.

    Raises
    ------
    ValueError
        If the verdict is unknown.
    """
    if predictedDiceOf(structure) is None or structure.get("verdict") is None:
        return None
    return Verdict(structure["verdict"])


def familiarityOf(entry: Mapping[str, Any] | None) -> Familiarity | None:
    """Return the familiarity of a scan; the reasons are cleaned, and cut to the first `MAX_REASONS`.

    Raises
    ------
    ValueError, TypeError, KeyError, AttributeError
        If a field is missing or of another kind.
    """
    if entry is None:
        return None
    reasons, isUnusual = entry["reasons"], entry["is_unusual"]
    if not isinstance(reasons, list) or not isinstance(isUnusual, bool):
        raise TypeError("expected a list of reasons and whether the scan is unusual")
    texts = (plain_text(str(reason), REASON_CHARACTERS) for reason in reasons[:MAX_REASONS])
    return Familiarity(
        isUnusual=isUnusual,
        reasons=tuple(text for text in texts if text),
        score=finiteNumber(entry["score"]),
        limit=finiteNumber(entry["limit"]),
        falseAlarmRate=shareNumber(entry["false_alarm_rate"]),
    )
