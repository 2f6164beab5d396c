"""The limit of what is usual, from the cases of the sites: each is compared with all others."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from fedcross.uncertainty.familiarity import (
    FamiliarCases,
    Groups,
    join_small_sites,
    joined,
    score_of_ratios,
)
from fedcross.uncertainty.moments import Moments

LEAST_DISTANCE = 0.5
"""Smaller distances in a group count as this one: a group in which nothing varies needs a limit, too."""


@dataclass(frozen=True)
class LeftOut:
    """A case of a site, compared with all other cases of all sites.

    Attributes
    ----------
    distances : NDArray
        float64 (S, G): r at each site in each group.
    own : NDArray
        float64 (G,): natural logarithms of r at its own site, r at least `LEAST_DISTANCE`. If that site
        has no other case, they are those of the nearest site.
    """

    distances: NDArray[np.float64]
    own: NDArray[np.float64]

    def score(self, usual: Moments, false_alarm_rate: float) -> float:
        """Return the score of the case, with scales that do not depend on it.

        Parameters
        ----------
        usual
            Moments of `own` over all cases, this one included; at least three.
        false_alarm_rate
            See `upper_limits`.
        """
        return score_of_ratios(
            self.distances / upper_limits(usual.without(self.own), false_alarm_rate)
        )


def leave_one_out(
    sites: Sequence[Moments], own: int, cases: NDArray[np.float64], groups: Groups
) -> list[LeftOut]:
    """Compare each case of a site with all other cases of all sites.

    Parameters
    ----------
    sites
        Moments of all sites.
    own
        Index of the site whose cases these are.
    cases
        Some of the cases in the moments of this site, (n, d).
    groups
        See `FamiliarCases`.
    """
    means, owner = joined(sites), join_small_sites(sites)[own]
    left_out = []
    for case in cases:
        rest = means[owner].without(case)
        known = FamiliarCases.of((*means[:owner], rest, *means[owner + 1 :]), groups)
        distances = known.distances(case)
        row = owner if rest.count else int(distances.max(axis=1).argmin())
        left_out.append(LeftOut(distances, np.log(np.maximum(distances[row], LEAST_DISTANCE))))
    return left_out


def upper_limits(logarithms: Moments, false_alarm_rate: float) -> NDArray[np.float64]:
    """Return limits that further positive numbers exceed with a given probability each, (d,).

    Their logarithms are taken as normal with unknown mean and variance. The limit is the upper end of
    the one-sided prediction interval, exp(mean + t sd sqrt(1 + 1/n)), with the quantile t of Student's
    distribution with n - 1 degrees of freedom. So it is larger for few cases.

    Parameters
    ----------
    logarithms
        Moments of the natural logarithms of n vectors of d numbers.
    false_alarm_rate
        From 0 to 1, exclusive.

    Raises
    ------
    ValueError
        If n is below 2.
    """
    n = logarithms.count
    if n < 2:
        raise ValueError(f"A limit needs 2 numbers, got {n}.")
    deviations = np.sqrt(np.maximum(logarithms.scatter.diagonal(), 0) / (n - 1))
    t = float(special.stdtrit(n - 1, 1 - false_alarm_rate))
    return np.asarray(np.exp(logarithms.mean + t * deviations * math.sqrt(1 + 1 / n)))
