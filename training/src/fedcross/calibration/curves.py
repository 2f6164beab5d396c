"""What one site tells about a bundle's errors: counts and sums over its cases on fixed grids.

The curves of two sites add up to those of all their cases. No figure of a single case is in them, and no
name. They are checked when they are read, because another hospital may have sent them.
"""

from typing import Annotated, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from fedcross.uncertainty.contours import MARGINS_MM
from fedcross.uncertainty.predicted_dice import BINS
from fedcross.uncertainty.temperature import TEMPERATURES
from fedcross.uncertainty.volume_interval import STEPS, WIDTHS
from fedcross.volumes.structure import Name, StrictModel

MAX_CASES = 100_000
_Number = TypeVar("_Number", int, float)
_TOLERANCE = 1e-6

Count = Annotated[int, Field(ge=0, le=MAX_CASES)]
Sum = Annotated[float, Field(ge=0, le=MAX_CASES, allow_inf_nan=False)]
Likelihood = Annotated[float, Field(ge=0, le=100 * MAX_CASES, allow_inf_nan=False)]
DiceRow = Annotated[tuple[Count, ...], Field(min_length=BINS, max_length=BINS)]
DiceCounts = Annotated[tuple[DiceRow, ...], Field(min_length=BINS, max_length=BINS)]
ScoreCounts = Annotated[tuple[Count, ...], Field(min_length=STEPS + 2, max_length=STEPS + 2)]
WidthCounts = Annotated[tuple[Count, ...], Field(min_length=WIDTHS, max_length=WIDTHS)]
Curve = Annotated[tuple[Sum, ...], Field(min_length=len(MARGINS_MM), max_length=len(MARGINS_MM))]


class LikelihoodCurve(StrictModel):
    """The mean negative log-likelihood of a case's voxels, summed over the cases of a site.

    Attributes
    ----------
    cases : int
        Number of cases.
    sums : tuple of float
        One for each of `fedcross.uncertainty.temperature.TEMPERATURES`, nats.
    """

    cases: Count
    sums: Annotated[
        tuple[Likelihood, ...],
        Field(min_length=len(TEMPERATURES), max_length=len(TEMPERATURES)),
    ]

    def __add__(self, other: Self) -> Self:
        """Return the curve of the cases of both."""
        return type(self)(cases=self.cases + other.cases, sums=_added(self.sums, other.sums))


class LossCurve(StrictModel):
    """Sums of the losses and of their squares over cases, for the margins of a contour.

    Attributes
    ----------
    sums, squares : tuple of float
        One for each of `fedcross.uncertainty.contours.MARGINS_MM`; the losses are from 0 to 1 and do not
        rise.
    """

    sums: Curve
    squares: Curve

    @classmethod
    def of(cls, losses: NDArray[np.float64]) -> Self:
        """Return the curve of one case, (G,)."""
        return cls(sums=tuple(losses.tolist()), squares=tuple(np.square(losses).tolist()))

    def __add__(self, other: Self) -> Self:
        """Return the curve of the cases of both."""
        return type(self)(
            sums=_added(self.sums, other.sums), squares=_added(self.squares, other.squares)
        )

    @model_validator(mode="after")
    def _check(self) -> Self:
        sums, squares = np.array(self.sums), np.array(self.squares)
        if (squares > sums + _TOLERANCE).any():
            raise ValueError("a sum of squares is larger than the sum of the losses")
        if (np.diff(sums) > _TOLERANCE).any():
            raise ValueError("the losses rise")
        return self


class StructureCurves(StrictModel):
    """The curves of one structure.

    Attributes
    ----------
    name : str
        The structure in the bundle.
    cases : int
        Number of cases in which it was drawn.
    dice : tuple
        Cases in each cell of agreement (row) and Dice, see
        `fedcross.uncertainty.predicted_dice.count_cases`.
    volume_below, volume_above : tuple of int
        Counts of scores, see `fedcross.uncertainty.volume_interval.count_scores`.
    volume_widths : tuple of int
        Counts of the widths behind the scores, see `fedcross.uncertainty.volume_interval.count_widths`.
    inner, outer : LossCurve
        Losses of the contours, see `fedcross.uncertainty.contours`.
    """

    name: Name
    cases: Count
    dice: DiceCounts
    volume_below: ScoreCounts
    volume_above: ScoreCounts
    inner: LossCurve
    outer: LossCurve
    volume_widths: WidthCounts = (0,) * WIDTHS

    def __add__(self, other: Self) -> Self:
        """Return the curves of the cases of both; they must be of the same structure."""
        if other.name != self.name:
            raise ValueError(f"curves of {self.name} and {other.name} cannot be added.")
        return type(self)(
            name=self.name,
            cases=self.cases + other.cases,
            dice=tuple(map(_added, self.dice, other.dice)),
            volume_below=_added(self.volume_below, other.volume_below),
            volume_above=_added(self.volume_above, other.volume_above),
            inner=self.inner + other.inner,
            outer=self.outer + other.outer,
            volume_widths=_added(self.volume_widths, other.volume_widths),
        )

    @property
    def volume_counts(self) -> NDArray[np.int64]:
        """`volume_below` and `volume_above` as one array, int64 (2, columns)."""
        return np.array([self.volume_below, self.volume_above], np.int64)

    @model_validator(mode="after")
    def _check(self) -> Self:
        most = self.cases
        for what, count in (
            ("dice", sum(map(sum, self.dice))),
            ("volume", sum(self.volume_below) + sum(self.volume_above)),
            ("volume widths", sum(self.volume_widths)),
            ("inner", self.inner.sums[0] - _TOLERANCE),
            ("outer", self.outer.sums[0] - _TOLERANCE),
        ):
            if count > most:
                raise ValueError(f"{what} counts {count:g} in {most} cases")
        return self


class SiteCurves(StrictModel):
    """The curves of a site for one bundle at one temperature.

    Attributes
    ----------
    cases : int
        Number of labelled cases.
    temperature : float
        Temperature with which the cases were segmented.
    structures : tuple of StructureCurves
        Of those structures that were drawn in a case.
    """

    cases: Count
    temperature: Annotated[float, Field(ge=0.001, le=100, allow_inf_nan=False)]
    structures: Annotated[tuple[StructureCurves, ...], Field(max_length=255)]

    def of(self, structure: str) -> StructureCurves | None:
        """Return the curves of a structure, by name; None if it was not drawn in any case."""
        return next((each for each in self.structures if each.name == structure), None)

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [each.name for each in self.structures]
        if len(set(names)) != len(names):
            raise ValueError("two structures have the same name")
        if any(each.cases > self.cases for each in self.structures):
            raise ValueError("a structure has more cases than the site")
        return self


def _added(one: tuple[_Number, ...], other: tuple[_Number, ...]) -> tuple[_Number, ...]:
    return tuple(a + b for a, b in zip(one, other, strict=True))
