"""The figures of a result in words: for the panel, for the clipboard and for a CSV file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from slicer.i18n import tr as _

from fedcross.contract.plain_text import csv_cell
from fedcross.contract.verdict import Basis
from FedCrossSlicerLib.bundle.result import Familiarity, StructureFigures
from FedCrossSlicerLib.csv_file import writeCSV
from FedCrossSlicerLib.scene.figures import Figure, Thresholds, Verdict, verdict
from FedCrossSlicerLib.scene.tables import plainText


def volumeText(figure: StructureFigures, members: int) -> str:
    """Return the volume, with the calibrated interval or else with the range of the members.

    Parameters
    ----------
    figure
        The figures of a structure.
    members
        Number of members; one member has no range.
    """
    interval = figure.interval
    digits = 1 if max(figure.volume, figure.high, interval.high if interval else 0) >= 10 else 2
    volume = _("{volume} mL").format(volume=f"{figure.volume:.{digits}f}")
    if interval is not None:
        return _("{volume} ({percent} %: {low} to {high})").format(
            volume=volume,
            percent=f"{100 * interval.coverage:.3g}",
            low=f"{interval.low:.{digits}f}",
            high=f"{interval.high:.{digits}f}",
        )
    if members < 2:
        return volume
    return _("{volume} (members: {low} to {high} mL)").format(
        volume=volume, low=f"{figure.low:.{digits}f}", high=f"{figure.high:.{digits}f}"
    )


def verdictText(figure: StructureFigures, thresholds: Thresholds | None = None) -> str:
    """Return the verdict on a structure in two or three words."""
    found = verdict(figure, thresholds)
    if found is Verdict.AGREE and figure.predicted is not None:
        return _("likely good")
    return {
        Verdict.AGREE: _("members agree"),
        Verdict.LOOK: _("look at it"),
        Verdict.DISTRUST: _("do not trust"),
        Verdict.ABSENT: _("not found"),
    }[found]


def basisText(figure: StructureFigures) -> str:
    """Return the figure that the verdict is from; ``""`` for one member, or if nothing was found."""
    predicted = figure.predicted
    if verdict(figure) is Verdict.ABSENT:
        return ""
    if predicted is not None:
        return _("expected Dice {dice} \u00b1 {error}").format(
            dice=f"{predicted.dice:.2f}", error=f"{predicted.error:.2f}"
        )
    if figure.agreement is None:
        return ""
    return _("agreement {dice}").format(dice=f"{figure.agreement:.2f}")


def unfamiliarText(familiarity: Familiarity | None) -> str:
    """Return the warning of an unfamiliar scan; ``""`` for any other."""
    if familiarity is None or not familiarity.isUnusual:
        return ""
    text = _("This scan is unlike those of the training hospitals")
    reasons = "; ".join(reason.rstrip(".") for reason in familiarity.reasons)
    return f"{text}: {reasons}." if reasons else f"{text}."


def asText(
    figures: Sequence[Figure],
    thresholds: Thresholds | None = None,
    familiarity: Familiarity | None = None,
) -> str:
    """Return a header and one line for each structure, separated by tabs, to paste elsewhere.

    A last line holds the warning of an unfamiliar scan.
    """
    header = (
        _("Structure"),
        _("Volume (mL)"),
        _("Members, mean (mL)"),
        _("Members, smallest (mL)"),
        _("Members, largest (mL)"),
        _("Agreement (Dice)"),
        _("Interval, from (mL)"),
        _("Interval, to (mL)"),
        _("Coverage of the interval"),
        _("Expected Dice"),
        _("Error of the expected Dice"),
        _("Verdict"),
    )
    lines = ["\t".join(header)]
    for figure in figures:
        known = astuple(reliability(figure))[:5]
        numbers = (each if isinstance(each, str) else f"{each:.3g}" for each in known)
        cells = (*_measured(figure), *numbers, verdictText(figure, thresholds))
        lines.append("\t".join(str(csv_cell(plainText(cell))) for cell in cells))
    warning = unfamiliarText(familiarity)
    return "\n".join([*lines, *([warning] if warning else [])]) + "\n"


def writeFigures(
    figures: Sequence[Figure],
    thresholds: Thresholds | None,
    path: Path,
    familiarity: Familiarity | None = None,
) -> None:
    """Write the figures and verdicts to a CSV file for programs.

    Raises
    ------
    InferenceError
        If the file cannot be written.
    """
    header = (
        "structure",
        "volume_ml",
        "members_mean_ml",
        "members_min_ml",
        "members_max_ml",
        "mean_dice",
        *(field.name for field in fields(Reliability)),
    )
    rows = [
        (*_measured(figure), *astuple(reliability(figure, thresholds, familiarity)))
        for figure in figures
    ]
    writeCSV([header, *rows], path)


@dataclass(frozen=True)
class Reliability:
    """How far the figures of a structure can be relied on, as the cells of a CSV file.

    Attributes
    ----------
    interval_low_ml, interval_high_ml, interval_coverage
        Ends of the volume interval in mL, and its coverage from 0 to 1.
    predicted_dice, predicted_dice_error
        The predicted Dice and its error, 0 to 1.
    verdict, verdict_basis
        Values of `fedcross.contract.verdict.Verdict` and `Basis`.
    unfamiliar
        ``"yes"`` or ``"no"``.
    unfamiliar_reasons
        What is unusual about an unfamiliar scan, separated by semicolons.

    What does not exist is ``""``.
    """

    interval_low_ml: float | str = ""
    interval_high_ml: float | str = ""
    interval_coverage: float | str = ""
    predicted_dice: float | str = ""
    predicted_dice_error: float | str = ""
    verdict: str = ""
    verdict_basis: str = ""
    unfamiliar: str = ""
    unfamiliar_reasons: str = ""


def reliability(
    figure: StructureFigures,
    thresholds: Thresholds | None = None,
    familiarity: Familiarity | None = None,
) -> Reliability:
    """Return how far the figures of a structure can be relied on."""
    interval, predicted = figure.interval, figure.predicted
    unusual = familiarity is not None and familiarity.isUnusual
    return Reliability(
        interval_low_ml=interval.low if interval else "",
        interval_high_ml=interval.high if interval else "",
        interval_coverage=interval.coverage if interval else "",
        predicted_dice=predicted.dice if predicted else "",
        predicted_dice_error=predicted.error if predicted else "",
        verdict=verdict(figure, thresholds).value,
        verdict_basis=(Basis.PREDICTED_DICE if predicted else Basis.AGREEMENT).value,
        unfamiliar="" if familiarity is None else "yes" if unusual else "no",
        unfamiliar_reasons="; ".join(familiarity.reasons) if familiarity and unusual else "",
    )


def _measured(figure: Figure) -> tuple[str, ...]:
    return (
        figure.name,
        f"{figure.volume:.2f}",
        f"{figure.mean:.2f}",
        f"{figure.low:.2f}",
        f"{figure.high:.2f}",
        "" if figure.agreement is None else f"{figure.agreement:.3f}",
    )
