"""The table of many volumes, ``figures.csv``: one row for each structure of each volume.

The command line and the batch of the Slicer module write the same columns.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from itertools import chain

from fedcross.contract.figures import StructureFigures, verdict_of
from fedcross.contract.verdict import Basis, Thresholds

FIGURES = "figures.csv"


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


@dataclass(frozen=True)
class Row:
    """The figures of one structure of one volume, or the error of a volume.

    Attributes
    ----------
    volume
        Name of the volume: of the case on the command line, of the file in the Slicer module.
    structure
        The structure's name; ``""`` for a volume that failed.
    volume_ml
        The ensemble's volume in mL.
    members_mean_ml, members_min_ml, members_max_ml
        Mean, smallest and largest volume of the members in mL.
    mean_dice
        Mean Dice of all pairs of members, 0 to 1.
    reliability
        How far the figures can be relied on; its columns take this place in the table. The verdict is
        that of the default thresholds.
    error
        One sentence; ``""`` if the volume was segmented.
    warnings
        What a person should know about the volume, in sentences; ``""`` if nothing.

    What does not exist is ``""``.
    """

    volume: str
    structure: str = ""
    volume_ml: float | str = ""
    members_mean_ml: float | str = ""
    members_min_ml: float | str = ""
    members_max_ml: float | str = ""
    mean_dice: float | str = ""
    reliability: Reliability = Reliability()
    error: str = ""
    warnings: str = ""


def reliability(
    figures: StructureFigures,
    thresholds: Thresholds | None = None,
    *,
    is_unusual: bool | None = None,
    reasons: Sequence[str] = (),
) -> Reliability:
    """Return how far the figures of a structure can be relied on.

    Parameters
    ----------
    figures
        The figures of a structure.
    thresholds
        Thresholds of the agreement; None for the defaults.
    is_unusual
        Whether the scan is unlike those of the training sites; None if that is unknown.
    reasons
        What is unusual about the scan.
    """
    interval, predicted = figures.interval, figures.predicted
    return Reliability(
        interval_low_ml=interval.low if interval else "",
        interval_high_ml=interval.high if interval else "",
        interval_coverage=interval.coverage if interval else "",
        predicted_dice=predicted.dice if predicted else "",
        predicted_dice_error=predicted.error if predicted else "",
        verdict=verdict_of(figures, thresholds).value,
        verdict_basis=(Basis.PREDICTED_DICE if predicted else Basis.AGREEMENT).value,
        unfamiliar="" if is_unusual is None else "yes" if is_unusual else "no",
        unfamiliar_reasons="; ".join(reasons) if is_unusual else "",
    )


def table_rows(
    volume: str,
    structures: Sequence[StructureFigures],
    warnings: Sequence[str] = (),
    *,
    is_unusual: bool | None = None,
    reasons: Sequence[str] = (),
) -> list[Row]:
    """Return the rows of a volume that was segmented; the last parameters are of `reliability`."""
    return [
        Row(
            volume,
            each.name,
            each.volume,
            each.mean,
            each.low,
            each.high,
            "" if each.agreement is None else each.agreement,
            reliability(each, is_unusual=is_unusual, reasons=reasons),
            warnings=" ".join(warnings),
        )
        for each in structures
    ]


def table_cells(rows: Sequence[Row]) -> list[tuple[object, ...]]:
    """Return the heading and the rows, as the cells of a CSV file."""
    names = (
        [column.name for column in fields(Reliability)]
        if field.name == "reliability"
        else [field.name]
        for field in fields(Row)
    )
    cells = ([c if isinstance(c, tuple) else (c,) for c in astuple(row)] for row in rows)
    return [tuple(chain.from_iterable(parts)) for parts in (names, *cells)]
