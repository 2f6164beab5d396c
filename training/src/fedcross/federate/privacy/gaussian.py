"""The differential privacy of updates of bounded norm with Gaussian noise."""

import math

from scipy.optimize import brentq
from scipy.special import log_ndtr

SENSITIVITY = 2.0  # in clipping norms: with other data an update of norm C may be its opposite


def gaussian_epsilon(noise_multiplier: float, visits: int, delta: float) -> float:
    r"""Epsilon of a site's whole data after several visits, each with its own noise.

    The update of a visit has at most the norm :math:`C`, so that replacing all of a site's data changes
    it by at most :math:`2C`. With noise of standard deviation :math:`zC`, :math:`T` visits together are
    as private as one Gaussian mechanism with :math:`\mu = 2\sqrt{T}/z` (Dong, Roth and Su, "Gaussian
    Differential Privacy", JRSS B 2022, corollary 3.3). Its delta is

    .. math:: \delta(\varepsilon) = \Phi(\mu/2 - \varepsilon/\mu)
              - e^\varepsilon \Phi(-\mu/2 - \varepsilon/\mu)

    (Balle and Wang, "Improving the Gaussian Mechanism for Differential Privacy", ICML 2018, theorem 8),
    which is solved for :math:`\varepsilon`.

    Parameters
    ----------
    noise_multiplier
        z: standard deviation of the noise in clipping norms; above 0.
    visits
        T: number of visits; at least 0.
    delta
        Probability delta, between 0 and 1, both excluded.

    Returns
    -------
    float
        Epsilon, at least 0; 0 without visits.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """
    if not noise_multiplier > 0 or visits < 0 or not 0 < delta < 1:
        raise ValueError(
            "noise_multiplier must be above 0, visits at least 0 and delta between 0 and 1, "
            f"got {noise_multiplier}, {visits} and {delta}."
        )
    mu = SENSITIVITY * math.sqrt(visits) / noise_multiplier
    if mu == 0 or gaussian_delta(mu, 0.0) <= delta:
        return 0.0
    high = mu * mu / 2 + mu * math.sqrt(2 * math.log(1 / delta))  # Renyi accounting, an upper bound
    return float(brentq(lambda epsilon: gaussian_delta(mu, epsilon) - delta, 0.0, high))


def gaussian_delta(mu: float, epsilon: float) -> float:
    """Delta of a Gaussian mechanism with `mu` at `epsilon`; for the formula see `gaussian_epsilon`."""
    first = float(log_ndtr(mu / 2 - epsilon / mu))
    second = epsilon + float(log_ndtr(-mu / 2 - epsilon / mu))
    return math.exp(first) - math.exp(second)
