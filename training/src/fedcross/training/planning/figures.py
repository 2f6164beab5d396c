"""The figures of a federation from which a configuration is proposed: per site, and combined."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fedcross.errors import DataError
from fedcross.runtime.files.record import read_record, write_record
from fedcross.training.config.site import SiteName
from fedcross.training.data.check.figures import (
    FOREGROUND_PERCENTILES,
    CaseFigures,
    Finite,
    Foreground,
    Length,
    Share,
)
from fedcross.volumes.structure import StrictModel

Triple = tuple[float, float, float]
Lengths = tuple[Length, Length, Length]
MAX_CASES = 100_000
Cases = Annotated[int, Field(ge=1, le=MAX_CASES)]
FINE_PERCENTILE = 10.0
FILE = "figures.json"


class SiteFigures(StrictModel):
    """What one site tells about its cases, without their names.

    Attributes
    ----------
    train
        Number of training cases, which are the first of `cases`.
    cases
        Figures of the training and the validation cases. Test cases are not looked at.
    """

    train: Cases
    cases: Annotated[tuple[CaseFigures, ...], Field(min_length=1, max_length=MAX_CASES)]


class Intensities(StrictModel):
    """Intensities of the labelled voxels of all cases, every case with the same weight.

    nnU-Net (Isensee et al., Nature Methods 2021) draws equally many voxels of every case. FednnU-Net
    (arXiv 2503.02549) combines the sites' numbers instead of their voxels, as is done here.

    Attributes
    ----------
    low, high
        Percentiles 0.5 and 99.5.
    mean, std
        Mean and population standard deviation.
    """

    low: Finite
    high: Finite
    mean: Finite
    std: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    @classmethod
    def combine(cls, cases: Sequence[Foreground]) -> "Intensities":
        """Combine the cases' figures; at least one case."""
        means = np.array([case.mean for case in cases])
        squares = np.array([case.std**2 for case in cases]) + (means - means.mean()) ** 2
        percentiles = np.array([case.percentiles for case in cases])
        return cls(
            low=combine_percentiles(percentiles, FOREGROUND_PERCENTILES[0]),
            high=combine_percentiles(percentiles, FOREGROUND_PERCENTILES[-1]),
            mean=float(means.mean()),
            std=float(np.sqrt(squares.mean())),
        )


class FederationFigures(StrictModel):
    """The figures of all sites together; they name no case.

    Triples are (x, y, z).

    Attributes
    ----------
    cases
        Number of cases.
    train
        Number of training cases of every site, in the order of the configuration.
    spacing_mm, fine_spacing_mm
        Median and percentile 10 of the cases' voxel spacings, mm.
    sides_mm
        Median sides of the cases, mm.
    nonzero_box
        Median of `CaseFigures.nonzero_box`.
    padding
        Largest of `CaseFigures.padding`.
    extent_mm
        Median sides of the bounding box of the labelled voxels, mm.
    foreground
        Intensities of the labelled voxels.
    left_out
        Names of the sites that sent no figures.
    """

    cases: Annotated[int, Field(ge=1)]
    train: Annotated[tuple[Cases, ...], Field(min_length=1, max_length=1024)]
    spacing_mm: Lengths
    fine_spacing_mm: Lengths
    sides_mm: Lengths
    nonzero_box: Share
    padding: Share = 0.0
    extent_mm: Lengths
    foreground: Intensities
    left_out: Annotated[tuple[SiteName, ...], Field(max_length=1024)] = ()

    def median_size(self, spacing_mm: Sequence[float]) -> Triple:
        """Median over the cases of their numbers of voxels at a spacing, (x, y, z)."""
        x, y, z = (side / step for side, step in zip(self.sides_mm, spacing_mm, strict=True))
        return x, y, z


def combine_sites(sites: Sequence[SiteFigures], left_out: Sequence[str] = ()) -> FederationFigures:
    """Combine the figures of the sites, every case with the same weight.

    Parameters
    ----------
    sites
        At least one site.
    left_out
        Names of the sites that sent no figures.

    Raises
    ------
    DataError
        If no case has a labelled voxel.
    """
    cases = [case for site in sites for case in site.cases]
    drawn = [case.foreground for case in cases if case.foreground is not None]
    if not drawn:
        raise DataError("No training or validation case has a labelled voxel.", "Check the labels.")
    spacings = np.array([case.spacing_mm for case in cases])
    sides = spacings * [case.size for case in cases]
    return FederationFigures(
        cases=len(cases),
        train=tuple(site.train for site in sites),
        spacing_mm=_triple(np.median(spacings, axis=0)),
        fine_spacing_mm=_triple(np.percentile(spacings, FINE_PERCENTILE, axis=0)),
        sides_mm=_triple(np.median(sides, axis=0)),
        nonzero_box=median(case.nonzero_box for case in cases),
        padding=max(case.padding for case in cases),
        extent_mm=_triple(np.median([each.extent_mm for each in drawn], axis=0)),
        foreground=Intensities.combine(drawn),
        left_out=tuple(left_out),
    )


def _triple(values: NDArray[np.float64]) -> Triple:
    x, y, z = values.tolist()
    return x, y, z


def combine_percentiles(percentiles: NDArray[np.float64], wanted: float) -> float:
    """Percentile of the mixture of several distributions, of which only percentiles are known.

    Between two known percentiles a distribution function is a straight line. What lies below the
    lowest percentile counts as lying at it, and likewise above the highest one.

    Parameters
    ----------
    percentiles
        (n, 7) intensities of n distributions at `FOREGROUND_PERCENTILES`, in rising order.
    wanted
        Percentile, 0 to 100.

    Returns
    -------
    float
        Smallest intensity at which the mean of the n distribution functions reaches `wanted`.
    """
    places = np.unique(percentiles).tolist()
    above = bisect_left(places, wanted - 1e-9, key=lambda place: _mean_share(percentiles, place))
    if above == 0:
        return float(places[0])
    low, high = places[above - 1], places[above]
    start, end = _mean_share(percentiles, low), _mean_share(percentiles, high, below=True)
    if end <= wanted:  # the function jumps at `high`
        return float(high)
    return float(low + (high - low) * (wanted - start) / (end - start))


def _mean_share(percentiles: NDArray[np.float64], place: float, *, below: bool = False) -> float:
    """Mean percentage of the distributions at or below `place`; only below it with `below`."""
    ranks = FOREGROUND_PERCENTILES
    shares = []
    for row in percentiles.tolist():
        index = bisect_left(row, place) if below else bisect_right(row, place)
        if index == 0:
            shares.append(0.0)
        elif index == len(row):
            shares.append(100.0)
        else:
            low, high = row[index - 1], row[index]
            part = (place - low) / (high - low)
            shares.append(ranks[index - 1] + part * (ranks[index] - ranks[index - 1]))
    return float(np.mean(shares))


def write_figures(folder: Path, figures: FederationFigures) -> None:
    """Write the combined figures into a folder, which is made."""
    write_record(folder / FILE, figures)


def read_figures(folder: Path) -> FederationFigures:
    """Read what `write_figures` wrote.

    Raises
    ------
    DataError
        If the file is missing or does not have the agreed form.
    """
    problem = "The figures of the federation are missing or damaged."
    return read_record(folder / FILE, FederationFigures, problem)
