"""What Gaussian noise on updates of bounded norm protects, in terms of differential privacy."""

import math

from scipy.optimize import brentq
from scipy.special import log_ndtr

SENSITIVITY = 2.0  # in clipping norms: other data may turn an update of norm C around


def gaussian_epsilon(noise_multiplier: float, visits: int, delta: float) -> float:
    r"""Epsilon of a site's whole data after some visits, each with its own noise.

    A visit's update has at most the norm :math:`C`, so that replacing all of a site's data changes it
    by at most :math:`2C`; noise of standard deviation :math:`zC` makes :math:`T` visits together as
    private as one Gaussian mechanism with :math:`\mu = 2\sqrt{T}/z` (Dong, Roth and Su, "Gaussian
    Differential Privacy", JRSS B 2022, corollary 3.3), for which exactly

    .. math:: \delta(\varepsilon) = \Phi(\mu/2 - \varepsilon/\mu)
              - e^\varepsilon \Phi(-\mu/2 - \varepsilon/\mu)

    (Balle and Wang, "Improving the Gaussian Mechanism for Differential Privacy", ICML 2018, theorem 8).

    Parameters
    ----------
    noise_multiplier
        z, above 0.
    visits
        T.
    delta
        Between 0 and 1, both excluded.

    Returns
    -------
    float
        0 without visits.

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
    high = mu * mu / 2 + mu * math.sqrt(2 * math.log(1 / delta))  # of Renyi accounting: no less
    return float(brentq(lambda epsilon: gaussian_delta(mu, epsilon) - delta, 0.0, high))


def gaussian_delta(mu: float, epsilon: float) -> float:
    """The delta of a Gaussian mechanism, see `gaussian_epsilon`."""
    first = float(log_ndtr(mu / 2 - epsilon / mu))
    second = epsilon + float(log_ndtr(-mu / 2 - epsilon / mu))
    return math.exp(first) - math.exp(second)
