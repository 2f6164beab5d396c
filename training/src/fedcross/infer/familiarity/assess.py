"""Compares a case with the profile of a bundle: score, limit, and the unusual properties in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedcross.infer.familiarity.properties import (
    describe_property,
    show_range,
    show_value,
    split_name,
)
from fedcross.model.manifest import Manifest
from fedcross.model.profile import Profile, ProfileGroup
from fedcross.uncertainty.familiarity import FamiliarCases
from fedcross.uncertainty.familiarity_limit import upper_limits
from fedcross.uncertainty.moments import Moments

MAX_REASONS = 4
SHOWN = 4
"""Properties that are listed for an unusual combination."""
LEAST_DEVIATION = 2.5
"""Standard deviations from which a property is named as a reason."""
RANGE = 2.0
"""The range of the sites is their means, less and more by this many standard deviations."""


@dataclass(frozen=True)
class Familiarity:
    """How familiar a case is.

    Attributes
    ----------
    score
        Distance from the cases of the sites, see `fedcross.uncertainty.familiarity`.
    limit
        The share of the sites' cases whose score exceeds it is the false-alarm rate.
    false_alarm_rate
        From 0 to 1.
    is_unusual
        Whether the score is above the limit.
    reasons
        The most unusual properties in words, the most unusual first; empty for a familiar case.
    """

    score: float
    limit: float
    false_alarm_rate: float
    is_unusual: bool
    reasons: tuple[str, ...]


def familiar_cases(profile: Profile) -> FamiliarCases:
    """Return the numbers of a profile as arrays."""
    sizes = [len(group.properties) for group in profile.groups]
    stops = np.cumsum(sizes)
    groups = tuple(np.arange(stop - size, stop) for stop, size in zip(stops, sizes, strict=True))
    covariance = np.zeros((stops[-1], stops[-1]))
    for indices, group in zip(groups, profile.groups, strict=True):
        covariance[np.ix_(indices, indices)] = _symmetric(group)
    means = np.concatenate([np.array(group.means) for group in profile.groups], axis=1)
    counts = np.array(profile.counts, dtype=np.float64)
    scales = np.array([group.scale for group in profile.groups])
    return FamiliarCases(counts, means, covariance, groups, scales)


def score_limit(profile: Profile) -> float:
    """Return the limit of the score, see `fedcross.uncertainty.familiarity_limit.upper_limits`."""
    count = profile.score_count
    scatter = np.array([[profile.score_deviation**2 * (count - 1)]])
    logarithms = Moments(count, np.array([profile.score_mean]), scatter)
    return float(upper_limits(logarithms, profile.false_alarm_rate)[0])


def assess(properties: Mapping[str, float], manifest: Manifest) -> Familiarity | None:
    """Compare a case with the profile of a bundle.

    Parameters
    ----------
    properties
        Properties of the case by name.
    manifest
        Manifest of the bundle.

    Returns
    -------
    Familiarity or None
        None if the bundle has no profile, or its profile has a property that this case has not.
    """
    profile = manifest.profile
    if profile is None:
        return None
    names = [name for group in profile.groups for name in group.properties]
    if not all(name in properties for name in names):
        return None
    case = np.array([properties[name] for name in names])
    known, limit = familiar_cases(profile), score_limit(profile)
    score = known.score(case)
    unusual = score > limit
    structures = [each.name for each in manifest.structures]
    words = _reasons(case, names, known, manifest.preprocessing.channel_names, structures)
    return Familiarity(score, limit, profile.false_alarm_rate, unusual, words if unusual else ())


def _reasons(
    case: NDArray[np.float64],
    names: Sequence[str],
    known: FamiliarCases,
    channels: Sequence[str],
    structures: Sequence[str],
) -> tuple[str, ...]:
    """Name the properties that no site had, at most one of each kind.

    A property whose value lies between those of two sites is not named, because the range of the sites
    would not show why it is unusual.
    Those of the geometry come first, because they change the others.
    """
    away = np.abs(known.standardise(case)).min(axis=0)  # (d,), from the nearest site
    spread = RANGE * np.sqrt(known.covariance.diagonal())
    low, high = (known.means - spread).min(axis=0), (known.means + spread).max(axis=0)
    kinds = [split_name(name) for name in names]
    later = [kind is None or kind[0].group != "geometry" for kind in kinds]
    reasons: dict[object, str] = {}
    outside = (case < low) | (case > high)
    for index in np.lexsort((-away, later)):
        if outside[index] and away[index] >= LEAST_DEVIATION and len(reasons) < MAX_REASONS:
            name, kind = names[index], kinds[index]
            words = describe_property(name, channels, structures)
            value = show_value(name, case[index])
            usual = show_range(name, low[index], high[index])
            key = name if kind is None else (kind[0].words, kind[2])
            reasons.setdefault(key, f"{words} {value}; the sites had {usual}")
    if reasons:
        return tuple(reasons.values())
    ratios = known.ratios(case)  # (S, G)
    nearest = ratios.max(axis=1).argmin()
    group = known.groups[int(ratios[nearest].argmax())]
    shown = dict.fromkeys(describe_property(names[index], channels, structures) for index in group)
    return (f"unusual combination of properties: {', '.join(list(shown)[:SHOWN])}",)


def _symmetric(group: ProfileGroup) -> NDArray[np.float64]:
    """The covariance of a group as a matrix (d, d)."""
    count = len(group.properties)
    matrix = np.zeros((count, count))
    matrix[np.tril_indices(count)] = group.covariance
    return np.asarray(matrix + np.tril(matrix, -1).T)
