"""The figures of a result in words: the panel of Slicer and the command line say the same.

`translate` translates a sentence of this module; by default it stays English.
"""

from collections.abc import Callable, Sequence

from fedcross.contract.figures import StructureFigures, is_too_wide, verdict_of
from fedcross.contract.verdict import Thresholds, Verdict

Translate = Callable[[str], str]


def volume_text(figures: StructureFigures, members: int, translate: Translate = str) -> str:
    """Return the volume, with the calibrated interval or else with the range of the members.

    It says of an interval that is too wide to be useful that it is, see
    `fedcross.contract.figures.is_too_wide`.

    Parameters
    ----------
    figures
        The figures of a structure.
    members
        Number of members; one member has no range.
    translate
        See above.
    """
    interval = figures.interval
    largest = max(figures.volume, figures.high, interval.high if interval else 0)
    digits = 1 if largest >= 10 else 2
    volume = translate("{volume} mL").format(volume=f"{figures.volume:.{digits}f}")
    if interval is not None:
        sentence = translate("{volume} ({percent} %: {low} to {high})")
        if is_too_wide(interval.low, interval.high):
            sentence = translate("{volume} ({percent} %: {low} to {high}, too wide to be useful)")
        return sentence.format(
            volume=volume,
            percent=f"{100 * interval.coverage:.3g}",
            low=f"{interval.low:.{digits}f}",
            high=f"{interval.high:.{digits}f}",
        )
    if members < 2:
        return volume
    return translate("{volume} (members: {low} to {high} mL)").format(
        volume=volume, low=f"{figures.low:.{digits}f}", high=f"{figures.high:.{digits}f}"
    )


def verdict_text(
    figures: StructureFigures, thresholds: Thresholds | None = None, translate: Translate = str
) -> str:
    """Return the verdict on a structure in two or three words."""
    found = verdict_of(figures, thresholds)
    if found is Verdict.AGREE and figures.predicted is not None:
        return translate("likely good")
    return {
        Verdict.AGREE: translate("members agree"),
        Verdict.LOOK: translate("look at it"),
        Verdict.DISTRUST: translate("do not trust"),
        Verdict.ABSENT: translate("not found"),
    }[found]


def basis_text(figures: StructureFigures, translate: Translate = str) -> str:
    """Return the figure that the verdict is from; ``""`` for one member, or if nothing was found."""
    predicted = figures.predicted
    if verdict_of(figures) is Verdict.ABSENT:
        return ""
    if predicted is not None:
        return translate("expected Dice {dice} \u00b1 {error}").format(
            dice=f"{predicted.dice:.2f}", error=f"{predicted.error:.2f}"
        )
    if figures.agreement is None:
        return ""
    return translate("agreement {dice}").format(dice=f"{figures.agreement:.2f}")


def unfamiliar_text(reasons: Sequence[str], translate: Translate = str) -> str:
    """Return the warning of an unfamiliar scan.

    Parameters
    ----------
    reasons
        What is unusual, a few words each; may be empty.
    translate
        See above.
    """
    text = translate("This scan is unlike those of the training hospitals")
    listed = "; ".join(reason.rstrip(".") for reason in reasons)
    return f"{text}: {listed}." if listed else f"{text}."
