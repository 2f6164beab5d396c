r"""Choose the smallest set that keeps a promise on its risk, from the risk curves of several sites.

A risk curve gives the mean loss of a site's cases for every size of a set on a fixed grid; losses are
from 0 to 1 and do not rise along the grid. A set keeps the promise `alpha` if its expected loss is at
most `alpha`. Three bounds on the expected loss, for one set that all sites use:

- ``pooled``: conformal risk control over the cases of all sites, (n R + 1) / (n + 1), with n cases of
  mean loss R (Angelopoulos et al., "Conformal Risk Control", ICLR 2024, theorem 1). It holds for a new
  case that is drawn as the n cases were. It does not hold at every site.
- ``per-site``: the largest of the sites' own such bounds. It holds at every site, and needs 1/alpha - 1
  cases from each of them.
- ``shrunk``: the pooled bound, or the limit below which the risk of `SITES_KEPT` of the sites lies if
  that is larger. The risks of the sites are draws from one distribution with mean m and variance t^2
  (random effects): a site with few cases counts little, and one with many does not outweigh the others.
  The limit is m + q sqrt(t^2 + e^2) with the standard error e of m and the `SITES_KEPT` quantile q of
  Student's t with S - 2 degrees of freedom, at least 1 (Higgins, Thompson and Spiegelhalter, "A
  re-evaluation of random-effects meta-analysis", JRSS A 2009). m, e and t are computed for each size of
  the set from the sites' sums by the method of moments.

Arrays may have further axes in front, for many federations at once.
"""

import math
from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
import scipy
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Pooling = Literal["pooled", "per-site", "shrunk"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
DEFAULT_POOLING: Pooling = "shrunk"

SITES_KEPT = 0.9
"""Share of the sites, also of sites without a case here, at which the promise of ``shrunk`` is kept."""

_ROUNDING = 1e-9


@dataclass(frozen=True)
class RiskCurves:
    """The losses of S sites on a grid of G sizes, in sums; every site has at least one case.

    Attributes
    ----------
    cases
        Number of cases of each site, float64 (..., S).
    sums
        Sum of the losses of a site's cases, (..., S, G).
    squares
        Sum of their squares, (..., S, G).
    """

    cases: Floats
    sums: Floats
    squares: Floats

    @classmethod
    def of_losses(cls, sites: list[Floats]) -> Self:
        """Return the curves of losses, one array (cases, G) for each site."""
        return cls(
            np.array([float(len(losses)) for losses in sites]),
            np.stack([losses.sum(axis=0) for losses in sites]),
            np.stack([np.square(losses).sum(axis=0) for losses in sites]),
        )

    @property
    def total(self) -> Floats:
        """Number of cases of all sites, (...)."""
        return np.asarray(self.cases.sum(axis=-1))

    def pooled(self) -> Self:
        """Return the same cases as those of one site."""
        return type(self)(
            self.cases.sum(axis=-1, keepdims=True),
            self.sums.sum(axis=-2, keepdims=True),
            self.squares.sum(axis=-2, keepdims=True),
        )


def fewest_cases(alpha: float) -> int:
    """Return the smallest number of cases with which a set can keep the promise `alpha`."""
    return math.ceil(1 / alpha - 1 - _ROUNDING)


def conformal_bound(curves: RiskCurves) -> Floats:
    """Return (n R + 1) / (n + 1) for each site, (..., S, G)."""
    return np.asarray((curves.sums + 1) / (curves.cases[..., None] + 1))


def risk_bound(curves: RiskCurves, pooling: Pooling) -> Floats:
    """Return the bound on the expected loss for one set that all sites use, (..., G)."""
    if pooling == "per-site":
        return np.asarray(conformal_bound(curves).max(axis=-2))
    pooled = conformal_bound(curves.pooled())[..., 0, :]
    if pooling == "pooled" or curves.cases.shape[-1] == 1:
        return pooled
    return np.asarray(np.maximum(pooled, site_limit(curves)))


def site_limit(curves: RiskCurves, share: float = SITES_KEPT) -> Floats:
    """Return the limit below which the expected loss of a share of the sites lies, (..., G).

    Parameters
    ----------
    curves
        At least two sites.
    share
        0.5 to below 1.
    """
    sites = curves.cases.shape[-1]
    mean, variance, between = random_effects(curves)
    quantile = scipy.stats.t.ppf(share, max(1, sites - 2))
    return np.asarray(mean + quantile * np.sqrt(between + variance))


def random_effects(curves: RiskCurves) -> tuple[Floats, Floats, Floats]:
    """Return mean, squared standard error of the mean, and variance between sites, each (..., G).

    With one case in every site the variance within sites is unknown. It is then taken as 0, which makes
    the variance between the sites larger.
    """
    cases, total = curves.cases[..., None], curves.total[..., None]  # (..., S, 1), (..., 1)
    sites = curves.cases.shape[-1]
    risks = curves.sums / cases  # (..., S, G)
    pooled = curves.sums.sum(axis=-2) / total
    scatter = (curves.squares - cases * risks**2).sum(axis=-2)
    within = np.maximum(scatter, 0) / np.maximum(total - sites, 1)  # (..., G)
    among = (cases * (risks - pooled[..., None, :]) ** 2).sum(axis=-2)
    weight = total - (cases**2).sum(axis=-2) / total
    between = np.maximum(among - (sites - 1) * within, 0) / weight
    variances = between[..., None, :] + within[..., None, :] / cases + np.finfo(float).tiny
    weights = (
        variances.min(axis=-2, keepdims=True) / variances
    )  # at most 1, so that no sum overflows
    mean = (weights * risks).sum(axis=-2) / weights.sum(axis=-2)
    error = variances.min(axis=-2) / weights.sum(axis=-2)
    return mean, error, between


def smallest_index(bound: Floats, alpha: float) -> NDArray[np.intp]:
    """Return the index of the smallest set from which on every bound is at most `alpha`, (...).

    Parameters
    ----------
    bound
        (..., G), by growing size of the set.
    alpha
        The promise, above 0.

    Returns
    -------
    NDArray
        -1 where even the largest set does not keep the promise.
    """
    kept = bound <= alpha * (1 + _ROUNDING)
    onwards = np.flip(np.logical_and.accumulate(np.flip(kept, axis=-1), axis=-1), axis=-1)
    return np.where(onwards.any(axis=-1), onwards.argmax(axis=-1), -1)
