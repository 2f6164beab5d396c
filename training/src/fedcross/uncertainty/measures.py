r"""How much the members of an ensemble disagree, voxel by voxel.

With :math:`p_{kc}` the probability that member k gives to class c at a voxel, K members, C classes and
:math:`\bar p_c` the mean over members:

============================ ====================================================== ==================
measure                      formula                                                range
============================ ====================================================== ==================
``std``                      :math:`\sqrt{\tfrac12\sum_c \mathrm{var}_k\,p_{kc}}`   0 to sqrt((1-1/C)/2)
``entropy``                  :math:`H(\bar p) = -\sum_c \bar p_c \ln \bar p_c`      0 to ln C
``mutual_information``       :math:`H(\bar p) - \tfrac1K\sum_k H(p_k)`              0 to ln min(K, C)
``variation_ratio``          1 - (votes for the most voted class) / K               0 to 1 - 1/min(K, C)
============================ ====================================================== ==================

``std`` is the map of Xu et al. (MIDL 2023): with two classes both have the same variance, and it is
the population standard deviation of the foreground probability over the members. The other measures:
Gal, "Uncertainty in Deep Learning", 2016 (section 3.3); Smith and Gal, UAI 2018. Entropies in nats.
`upper_bound` gives the end of a range exactly, also where K votes cannot split evenly.
"""

import math

import numpy as np
from numpy.typing import NDArray

from fedcross.contract.measures import MEASURES as MEASURES
from fedcross.contract.measures import Measure as Measure


def upper_bound(measure: Measure, classes: int, members: int) -> float:
    """Return the largest value a measure can take, as the top of a colour scale.

    The entropy is largest when the mean is undecided between all classes. The others are convex in
    the members' probabilities, hence largest when every member is certain and the votes are split as
    evenly as they can be: among 3 members and 2 classes two against one.

    Parameters
    ----------
    measure
        One of `MEASURES`.
    classes
        C, background included, at least 2.
    members
        K, at least 1. A single member shows no spread; so that the scale is not empty it gets the
        bounds of two.

    Raises
    ------
    ValueError
        If the measure is unknown or a count is too small.
    """
    if classes < 2 or members < 1:
        raise ValueError(f"needs 2 classes and 1 member, got {classes} and {members}.")
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
    """Shares of the votes, of those classes that get any, split as evenly as can be."""
    voices = min(classes, members)
    votes, left_over = divmod(members, voices)
    return [(votes + (voice < left_over)) / members for voice in range(voices)]


def entropy(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shannon entropy over the class axis in nats, with 0 ln 0 = 0."""
    total = np.zeros(probabilities.shape[1:], np.float32)
    smallest = np.finfo(np.float32).tiny
    for p in probabilities:
        total -= p * np.log(np.maximum(p, smallest))
    return np.asarray(np.maximum(total, np.float32(0)))
