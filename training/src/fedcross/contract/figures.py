"""The figures of one structure, as the Slicer module and the command line show them."""

from dataclasses import dataclass

from fedcross.contract.verdict import PredictedDice, Thresholds, Verdict, judge

WIDEST_USEFUL = 4.0
"""An interval whose upper end is more than this many times its lower end, such as from half to more than
twice the volume, is too wide to be useful."""


def is_too_wide(low: float, high: float) -> bool:
    """Return whether an interval of a volume is too wide to be useful.

    Parameters
    ----------
    low, high
        Its ends in one unit, neither negative. From 0 on it is too wide.
    """
    return high > WIDEST_USEFUL * low


@dataclass(frozen=True)
class VolumeInterval:
    """The interval in which the true volume of a structure lies.

    Attributes
    ----------
    low, high
        The ends in mL.
    coverage
        Share of the cases whose true volume lies in their interval, above 0 and below 1.
    """

    low: float
    high: float
    coverage: float


@dataclass(frozen=True)
class StructureFigures:
    """The figures of one structure.

    Attributes
    ----------
    name
        The structure's name.
    volume
        The ensemble's volume in mL.
    mean, low, high
        Mean, smallest and largest volume of the members in mL.
    agreement
        Mean Dice of all pairs of members, 0 to 1; None for one member, or if no member found it.
    interval
        The interval of the true volume; None if the bundle is not calibrated.
    predicted
        The predicted Dice, if the verdict is from it; None if the bundle is not calibrated.
    judged
        The verdict from the predicted Dice that the summary holds; None if it holds none.
    """

    name: str
    volume: float
    mean: float
    low: float
    high: float
    agreement: float | None
    interval: VolumeInterval | None = None
    predicted: PredictedDice | None = None
    judged: Verdict | None = None


def verdict_of(figures: StructureFigures, thresholds: Thresholds | None = None) -> Verdict:
    """Return the verdict on a structure.

    Parameters
    ----------
    figures
        The figures of the structure.
    thresholds
        Thresholds of the agreement; None for the defaults. With a predicted Dice they do not matter.

    Returns
    -------
    Verdict
        The verdict that the result holds, if it is from the predicted Dice; otherwise that of
        `fedcross.contract.verdict.judge`.
    """
    if figures.judged is not None:
        return figures.judged
    return judge(
        figures.volume,
        figures.low,
        figures.high,
        figures.agreement,
        predicted=figures.predicted,
        thresholds=thresholds,
    )
