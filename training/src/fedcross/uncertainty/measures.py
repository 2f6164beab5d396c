r"""Formulas that measure how much the members of an ensemble disagree at each voxel.

K is the number of members and C the number of classes. :math:`p_{kc}` is the probability that member
k gives to class c at a voxel, and :math:`\bar p_c` is its mean over the members:

============================ ====================================================== ==================
measure                      formula                                                range
============================ ====================================================== ==================
``std``                      :math:`\sqrt{\tfrac12\sum_c \mathrm{var}_k\,p_{kc}}`   0 to sqrt((1-1/C)/2)
``entropy``                  :math:`H(\bar p) = -\sum_c \bar p_c \ln \bar p_c`      0 to ln C
``mutual_information``       :math:`H(\bar p) - \tfrac1K\sum_k H(p_k)`              0 to ln min(K, C)
``variation_ratio``          1 - (votes for the most voted class) / K               0 to 1 - 1/min(K, C)
============================ ====================================================== ==================

``std`` is the uncertainty map of Xu et al. (MIDL 2023): with two classes both have the same variance,
so ``std`` is the population standard deviation of the foreground probability over the members. Sources
of the other measures: Gal, "Uncertainty in Deep Learning", 2016 (section 3.3); Smith and Gal, UAI 2018.
Entropies are in nats. `upper_bound` returns the exact end of a range, also if K votes cannot be split
evenly between the classes.
"""

import math

import numpy as np
from numpy.typing import NDArray

from fedcross.contract.measures import MEASURES as MEASURES
from fedcross.contract.measures import Measure as Measure


def upper_bound(measure: Measure, classes: int, members: int) -> float:
    """Return the largest value a measure can take; it is used as the top of a colour scale.

    The entropy is largest if the mean gives all classes the same probability. The other measures are
    convex in the members' probabilities. So they are largest if every member is certain and the votes
    are split as evenly as possible: with 3 members and 2 classes, two against one.

    Parameters
    ----------
    measure
        One of `MEASURES`.
    classes
        C, background included, at least 2.
    members
        K, at least 1. A single member has no spread, and its scale would be empty; it gets the bound
        of two members instead.

    Returns
    -------
    float
        Above 0; entropies in nats.

    Raises
    ------
    ValueError
        If the measure is unknown or a count is too small.
    """
    if classes < 2 or members < 1:
        raise ValueError(
            f"classes must be at least 2 and members at least 1, got {classes} and {members}."
        )
    shares = _most_even_vote(classes, max(members, 2))
    if measure == "std":
        return math.sqrt(0.5 * (1 - sum(share**2 for share in shares)))
    if measure == "entropy":
        return math.log(classes)
    if measure == "mutual_information":
        return -sum(share * math.log(share) for share in shares)
    if measure == "variation_ratio":
        return 1 - max(shares)
    raise ValueError(f"measure must be one of {', '.join(MEASURES)}, got {measure!r}.")


def _most_even_vote(classes: int, members: int) -> list[float]:
    """Return the share of the votes of each class that gets any, split as evenly as possible."""
    voted = min(classes, members)
    votes, remainder = divmod(members, voted)
    return [(votes + (index < remainder)) / members for index in range(voted)]


def entropy(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the Shannon entropy over the class axis in nats, with 0 ln 0 = 0.

    Parameters
    ----------
    probabilities
        float32 (C, ...), class axis first.

    Returns
    -------
    NDArray
        float32 (...); rounding errors below 0 are set to 0.
    """
    total = np.zeros(probabilities.shape[1:], np.float32)
    smallest = np.finfo(np.float32).tiny
    for p in probabilities:
        total -= p * np.log(np.maximum(p, smallest))
    return np.asarray(np.maximum(total, np.float32(0)))
