"""What a bundle knows about its errors, from labelled cases: a section of its manifest.

This module does not import torch.
"""

import math
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from fedcross.volumes.structure import Name, StrictModel, Unit

Count = Annotated[int, Field(ge=0, le=10_000_000)]
Sites = Annotated[int, Field(ge=0, le=1024)]
Millimetres = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
Quantile = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
LineNumber = Annotated[float, Field(ge=-1000, le=1000, allow_inf_nan=False)]


class PredictedDiceLine(StrictModel):
    """The predicted Dice, intercept + slope * agreement from 0 to 1, and its error.

    See `fedcross.uncertainty.predicted_dice`.
    """

    intercept: LineNumber
    slope: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
    error: Unit


class VolumeQuantiles(StrictModel):
    """The quantiles of an interval for the volume; see `fedcross.uncertainty.volume_interval`.

    Attributes
    ----------
    coverage, below, above : float
        Share of the cases that the interval covers, and its quantiles.
    median_width : float, optional
        Median of the widths that the quantiles were multiplied with in the labelled cases; None if it
        was not recorded.
    """

    added_later: ClassVar[tuple[str, ...]] = ("median_width",)

    coverage: Share
    below: Quantile
    above: Quantile
    median_width: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] | None = None

    @property
    def typical(self) -> tuple[float, float] | None:
        """The ends of the interval of the median case, as multiples of the volume; None if unknown."""
        if self.median_width is None:
            return None
        low = math.exp(-self.below * self.median_width)
        return low, math.exp(min(700.0, self.above * self.median_width))


class Contour(StrictModel):
    """The margins in mm of the inner and the outer contour; see `fedcross.uncertainty.contours`.

    Attributes
    ----------
    alpha : float
        The inner contour holds at most this share of voxels that are not the structure, the outer
        contour misses at most this share of the structure, both on average over cases.
    inner, outer : float, optional
        None if there is no such contour.
    """

    alpha: Share
    inner: Millimetres | None = None
    outer: Millimetres | None = None


class StructureCalibration(StrictModel):
    """The calibration of one structure.

    Attributes
    ----------
    name : str
        Name of the structure in the bundle.
    cases, sites : int
        Labelled cases behind it, and the sites that had any.
    predicted_dice : PredictedDiceLine, optional
        None if there are too few cases.
    volume : VolumeQuantiles, optional
        None if there are too few cases.
    contours : tuple of Contour
        By rising `alpha`; without those for which there are too few cases.
    """

    name: Name
    cases: Count
    sites: Sites
    predicted_dice: PredictedDiceLine | None = None
    volume: VolumeQuantiles | None = None
    contours: Annotated[tuple[Contour, ...], Field(max_length=8)] = ()

    @model_validator(mode="after")
    def _check_contours(self) -> Self:
        alphas = [contour.alpha for contour in self.contours]
        if alphas != sorted(set(alphas)):
            raise ValueError(f"contours must have rising alphas, got {alphas}")
        return self


class Calibration(StrictModel):
    """How the numbers of a bundle relate to its errors on labelled cases.

    Attributes
    ----------
    temperature : float
        The logits are divided by it before the softmax; 1 changes nothing.
    cases, sites : int
        Labelled cases behind the calibration, and their sites; 0 if there is none.
    pooling : str, optional
        How the sites' curves were combined, see `fedcross.uncertainty.risk_control`.
    structures : tuple of StructureCalibration
        One for each calibrated structure.
    """

    added_later: ClassVar[tuple[str, ...]] = ("cases", "sites", "pooling", "structures")

    temperature: Annotated[float, Field(ge=0.001, le=100, allow_inf_nan=False)] = 1.0
    cases: Count = 0
    sites: Sites = 0
    pooling: Literal["pooled", "per-site", "shrunk"] | None = None
    structures: Annotated[tuple[StructureCalibration, ...], Field(max_length=255)] = ()

    @model_validator(mode="after")
    def _check_counts(self) -> Self:
        names = [structure.name for structure in self.structures]
        if len(set(names)) != len(names):
            raise ValueError("two structures of the calibration have the same name")
        counts = [(self.sites, self.cases), *((each.sites, each.cases) for each in self.structures)]
        for sites, cases in counts:
            if sites > cases:
                raise ValueError(f"{sites} sites cannot have {cases} cases")
        return self

    def of(self, structure: str) -> StructureCalibration | None:
        """Return the calibration of a structure, by name; None if it is not calibrated."""
        return next((each for each in self.structures if each.name == structure), None)
