"""How far a case is from the cases of some sites, and the limit of what is usual.

A case is a vector of properties in groups. For site s with n cases and mean m, and the covariance C of a
group of d properties within the sites, the distance of a case x in this group is

    r = sqrt((x - m)' inverse(C) (x - m) / (d (1 + 1/n))),

about 1 for a case of the site. Some groups vary more than the normal distribution, so r is divided by
the limit that a case of the sites rarely exceeds in this group. The score is the largest of these ratios
over the groups, at the site where that is smallest. A common covariance with a mean for each class is
that of Lee et al., "A simple unified framework for detecting out-of-distribution samples", NeurIPS 2018;
here the classes are sites.

The covariance of few cases is not reliable. The correlations are shrunk to 0 by the factor of Chen et
al., "Shrinkage algorithms for MMSE covariance estimation", IEEE TSP 2010 (OAS), and every variance is
enlarged by ``FLOOR ** 2``. So a property that is the same in all cases does not make every other value
unusual.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fedcross.uncertainty.moments import Moments, merge

FLOOR = 0.05
"""Smallest standard deviation of a property, in its own unit: of a logarithm it is 5 %."""
MIN_SITE_CASES = 3
"""Sites with fewer cases are taken together."""

SMALLEST_EIGENVALUE = 1e-3
"""Of a correlation matrix; smaller ones are rounding."""

Groups = tuple[NDArray[np.intp], ...]


@dataclass(frozen=True)
class FamiliarCases:
    """What is known of the familiar cases: counts, means and a covariance of d properties.

    Attributes
    ----------
    counts : NDArray
        float64 (S,): number of cases of each of S sites, 1 or more.
    means : NDArray
        float64 (S, d): mean properties of each site.
    covariance : NDArray
        float64 (d, d): covariance within the sites; between groups it is not used.
    groups : tuple of NDArray
        Indices of the properties of each of G groups, at least one.
    scales : NDArray or None
        float64 (G,): what the distance in each group is divided by, above 0; None is 1 for all.
    """

    counts: NDArray[np.float64]
    means: NDArray[np.float64]
    covariance: NDArray[np.float64]
    groups: Groups
    scales: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, sites: Iterable[Moments], groups: Groups) -> "FamiliarCases":
        """Return what the moments of some sites tell, without scales.

        Sites without cases are left out.

        Raises
        ------
        ValueError
            If no site has a case.
        """
        used = [site for site in sites if site.count]
        if not used:
            raise ValueError("There is no familiar case.")
        counts = np.array([site.count for site in used], dtype=np.float64)
        scatter = np.sum([site.scatter for site in used], axis=0)
        means = np.stack([site.mean for site in used])
        return cls(counts, means, scatter / _freedom(counts), groups)

    @cached_property
    def deviations(self) -> NDArray[np.float64]:
        """Standard deviation of each property within the sites, (d,), at least `FLOOR`."""
        return np.sqrt(self.covariance.diagonal() + FLOOR**2)

    def distances(self, case: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return r of a case (d,) at each site in each group, (S, G)."""
        z = self.standardise(case)
        squares = [
            np.einsum("si,ij,sj->s", z[:, group], inverse, z[:, group]) / len(group)
            for group, inverse in zip(self.groups, self._inverses, strict=True)
        ]
        return np.asarray(np.sqrt(np.stack(squares, axis=1)))

    def standardise(self, case: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the deviation of each property from each site's mean, (S, d).

        The unit is the standard deviation that is expected between a new case and the mean of n.
        """
        spread = np.sqrt(1 + 1 / self.counts)[:, None] * self.deviations
        return np.asarray((case - self.means) / spread)

    def ratios(self, case: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the distances of a case (d,) divided by the scales, (S, G)."""
        distances = self.distances(case)
        return distances if self.scales is None else np.asarray(distances / self.scales)

    def score(self, case: NDArray[np.float64]) -> float:
        """Return the score of a case (d,), 0 or more."""
        return score_of_ratios(self.ratios(case))

    @cached_property
    def _inverses(self) -> list[NDArray[np.float64]]:
        """Inverse of the shrunk correlation matrix of each group."""
        correlation = self.covariance / np.outer(self.deviations, self.deviations)
        np.fill_diagonal(correlation, 1.0)
        freedom = _freedom(self.counts)
        return [
            _inverse(shrink(correlation[np.ix_(group, group)], freedom)) for group in self.groups
        ]


def score_of_ratios(ratios: NDArray[np.float64]) -> float:
    """Return the largest ratio over the groups at the site where it is smallest, from (S, G)."""
    return float(ratios.max(axis=1).min())


def _freedom(counts: NDArray[np.float64]) -> int:
    """Degrees of freedom of the covariance within the sites; 1 if no site has two cases."""
    return max(1, int(counts.sum()) - len(counts))


def _inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Invert a symmetric matrix with its eigenvalues raised to `SMALLEST_EIGENVALUE` at least."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors / np.maximum(values, SMALLEST_EIGENVALUE)) @ vectors.T)


def shrink(correlation: NDArray[np.float64], freedom: int) -> NDArray[np.float64]:
    """Return a correlation matrix (d, d) whose correlations are shrunk to 0.

    Parameters
    ----------
    correlation
        Of `freedom` independent vectors.
    freedom
        n, 1 or more.
    """
    d = len(correlation)
    squares = float(np.square(correlation).sum())  # the trace of the square
    below = (freedom + 1 - 2 / d) * (squares - d)
    above = (1 - 2 / d) * squares + d**2
    share = 1.0 if above >= below else above / below
    return np.asarray((1 - share) * correlation + share * np.eye(d))


def join_small_sites(sites: Sequence[Moments]) -> list[int]:
    """Return for each site the index of the mean that it belongs to, from 0.

    Sites with fewer than `MIN_SITE_CASES` cases have one mean together; every other site has its own.
    """
    small = [site.count < MIN_SITE_CASES for site in sites]
    own = iter(range(sum(not each for each in small)))
    return [len(sites) - sum(small) if each else next(own) for each in small]


def joined(sites: Sequence[Moments]) -> tuple[Moments, ...]:
    """Return the moments by mean, see `join_small_sites`."""
    owner = join_small_sites(sites)
    return tuple(
        merge(site for site, index in zip(sites, owner, strict=True) if index == one)
        for one in range(max(owner) + 1)
    )
