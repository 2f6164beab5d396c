"""Make the profile of a bundle from the properties of the sites' cases.

It is made in three steps, so that sites need not share a case. In each step every site sends count, mean
and scatter, and gets those of all sites before the next:

1. of the properties of its cases (`site_moments`);
2. of the logarithms of the distances of its cases from all others (`distance_moments`);
3. of the logarithms of the scores of its cases (`score_moments`).

`assemble` makes the profile of all three.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedcross.errors import DataError
from fedcross.infer.familiarity.image import Properties
from fedcross.infer.familiarity.properties import group_names
from fedcross.model.profile import FALSE_ALARM_RATE, MIN_SCORES, Profile, ProfileGroup
from fedcross.uncertainty.familiarity import FamiliarCases, Groups, joined
from fedcross.uncertainty.familiarity_limit import LeftOut, leave_one_out, upper_limits
from fedcross.uncertainty.moments import Moments, merge

MIN_VALIDATION = 10
"""Number of validation cases from which the limit is computed from them alone."""
DIGITS = 8
"""Significant digits of the numbers in a profile."""
SMALLEST_SCORE = 0.1
"""Smaller scores count as this one. Cases that are nearly equal would otherwise raise the limit."""


@dataclass(frozen=True)
class MeasuredCase:
    """The properties of one case.

    Attributes
    ----------
    site
        Name of its site.
    part
        ``train``, ``validation`` or ``test``.
    properties
        Property to value, see `fedcross.infer.familiarity`.
    """

    site: str
    part: str
    properties: Properties


def profile_of(measured: Sequence[MeasuredCase]) -> Profile:
    """Return the profile of measured cases.

    Means and covariances are those of all cases. The limit is computed from the scores of the validation
    cases if there are at least `MIN_VALIDATION`, otherwise of all: the members know the training cases,
    so what they find in them is more like the truth than in a new case.

    Raises
    ------
    DataError
        If there are fewer than `MIN_SCORES` cases.
    """
    if len(measured) < MIN_SCORES:
        raise DataError(
            f"A profile needs at least {MIN_SCORES} cases, got {len(measured)}.",
            "Choose more parts or sites.",
        )
    validation = [case for case in measured if case.part == "validation"]
    has_enough = len(validation) >= MIN_VALIDATION
    scored = validation if has_enough else measured
    names = property_names(measured[0])
    sites = list(dict.fromkeys(case.site for case in measured))
    moments = [
        site_moments([case for case in measured if case.site == site], names) for site in sites
    ]
    own = [[case for case in scored if case.site == site] for site in sites]
    distances = merge(
        distance_moments(moments, index, cases, names) for index, cases in enumerate(own)
    )
    scores = merge(
        score_moments(moments, distances, index, cases, names) for index, cases in enumerate(own)
    )
    return assemble(names, moments, distances, scores, only_validation=has_enough)


def property_names(case: MeasuredCase) -> list[tuple[str, ...]]:
    """Return the names of the properties by group; the same for all cases of a bundle."""
    return group_names(case.properties)


def site_moments(cases: Sequence[MeasuredCase], names: Sequence[tuple[str, ...]]) -> Moments:
    """Return count, mean and scatter of the properties of a site's cases, in the order of `names`."""
    return Moments.of(_table(cases, names))


def distance_moments(
    moments: Sequence[Moments],
    own: int,
    cases: Sequence[MeasuredCase],
    names: Sequence[tuple[str, ...]],
) -> Moments:
    """Return count, mean and scatter of the logarithms of the distances of a site's cases by group.

    Parameters
    ----------
    moments
        Moments of the properties of all sites.
    own
        Index of this site.
    cases
        Cases of this site, all or some of those in its moments; each is compared without itself.
    names
        Names of the properties by group.
    """
    rows = [each.own for each in _left_out(moments, own, cases, names)]
    return Moments.of(np.array(rows, dtype=np.float64).reshape(len(rows), len(names)))


def score_moments(
    moments: Sequence[Moments],
    distances: Moments,
    own: int,
    cases: Sequence[MeasuredCase],
    names: Sequence[tuple[str, ...]],
) -> Moments:
    """Return count, mean and scatter of the logarithms of the scores of a site's cases.

    Parameters
    ----------
    moments, own, cases, names
        See `distance_moments`.
    distances
        Moments of the logarithms of the distances over all sites.
    """
    scores = [
        each.score(distances, FALSE_ALARM_RATE) for each in _left_out(moments, own, cases, names)
    ]
    return Moments.of(np.log(np.maximum(scores, SMALLEST_SCORE))[:, None])


def _left_out(
    moments: Sequence[Moments],
    own: int,
    cases: Sequence[MeasuredCase],
    names: Sequence[tuple[str, ...]],
) -> list[LeftOut]:
    return leave_one_out(moments, own, _table(cases, names), _groups(names))


def assemble(
    names: Sequence[tuple[str, ...]],
    moments: Sequence[Moments],
    distances: Moments,
    scores: Moments,
    *,
    only_validation: bool,
) -> Profile:
    """Return the profile.

    Parameters
    ----------
    names
        Names of the properties by group.
    moments
        Moments of the properties of each site.
    distances
        Moments of the logarithms of the distances.
    scores
        Moments of the logarithms of the scores.
    only_validation
        Whether only validation cases were scored.
    """
    groups = _groups(names)
    known = FamiliarCases.of(joined(moments), groups)
    scales = upper_limits(distances, FALSE_ALARM_RATE)
    deviation = float(np.sqrt(scores.scatter[0, 0] / (scores.count - 1)))
    return Profile(
        counts=tuple(int(count) for count in known.counts),
        groups=tuple(
            ProfileGroup(
                properties=of_group,
                means=tuple(map(_rounded, known.means[:, indices])),
                covariance=_rounded(
                    known.covariance[np.ix_(indices, indices)][np.tril_indices(len(indices))]
                ),
                scale=float(scale),
            )
            for of_group, indices, scale in zip(names, groups, scales, strict=True)
        ),
        score_count=scores.count,
        score_mean=float(scores.mean[0]),
        score_deviation=deviation,
        scored="validation" if only_validation else "all",
    )


def _table(cases: Sequence[MeasuredCase], names: Sequence[tuple[str, ...]]) -> NDArray[np.float64]:
    """The properties of some cases, float64 (n, d)."""
    flat = [name for group in names for name in group]
    rows = [[case.properties[name] for name in flat] for case in cases]
    return np.array(rows, dtype=np.float64).reshape(len(cases), len(flat))


def _groups(names: Sequence[tuple[str, ...]]) -> Groups:
    stops = np.cumsum([len(group) for group in names])
    return tuple(
        np.arange(stop - len(group), stop) for stop, group in zip(stops, names, strict=True)
    )


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(f"{value:.{DIGITS}g}") for value in values)
