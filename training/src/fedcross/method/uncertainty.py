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
"""

import math
from collections.abc import Collection
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Measure = Literal["std", "entropy", "mutual_information", "variation_ratio"]
MEASURES: tuple[Measure, ...] = get_args(Measure)

Array = NDArray[np.float32]


class EnsembleStatistics:
    """Mean and spread of K members that come one at a time and are not kept.

    Mean and variance follow Welford ("Note on a method for calculating corrected sums of squares and
    products", Technometrics 1962): unlike E[x^2] - E[x]^2 they keep, in float32, the spread of members
    that nearly agree. What is held does not grow with K: C maps for the mean and, as the measures
    need, C for the squares, one for the entropy and C bytes per voxel for the votes.

    Parameters
    ----------
    shape
        Shape of one member's probabilities, class axis first: (C, D, H, W).
    measures
        Which measures will be asked for; None means all of them.
    """

    def __init__(self, shape: tuple[int, ...], measures: Collection[Measure] | None = None) -> None:
        if len(shape) < 1 or shape[0] < 2:
            raise ValueError(f"shape must begin with at least 2 classes, got {shape}.")
        wanted = set(MEASURES if measures is None else measures)
        self._shape = tuple(shape)
        self._count = 0
        self._mean = np.zeros(shape, np.float32)
        self._squares = np.zeros(shape, np.float32) if "std" in wanted else None
        self._entropies = (
            np.zeros(shape[1:], np.float32) if "mutual_information" in wanted else None
        )
        self._votes = np.zeros(shape, np.uint8) if "variation_ratio" in wanted else None

    @property
    def count(self) -> int:
        """How many members came so far."""
        return self._count

    def update(self, probabilities: Array) -> None:
        """Take in the next member.

        Parameters
        ----------
        probabilities
            Float32 of the shape given at the start; over the class axis they add up to 1.

        Raises
        ------
        ValueError
            If shape or dtype differ, or a number is not finite; the member is then left out.
        """
        if probabilities.shape != self._shape or probabilities.dtype != np.float32:
            raise ValueError(
                f"probabilities must be float32 {self._shape}, got {probabilities.dtype} "
                f"{probabilities.shape}."
            )
        if not np.isfinite(probabilities).all():
            raise ValueError("probabilities must be finite, got NaN or infinity.")
        self._count += 1
        for c, member in enumerate(probabilities):  # class by class keeps temporaries small
            delta = member - self._mean[c]
            self._mean[c] += delta / np.float32(self._count)
            if self._squares is not None:
                self._squares[c] += delta * (member - self._mean[c])
        if self._entropies is not None:
            self._entropies += (_entropy(probabilities) - self._entropies) / np.float32(self._count)
        if self._votes is not None:
            winner = probabilities.argmax(axis=0)
            for c, votes in enumerate(self._votes):
                votes += winner == c

    @property
    def mean(self) -> Array:
        """The ensemble's probabilities, (C, D, H, W)."""
        self._require_members()
        return self._mean

    def std_per_class(self) -> Array:
        """Population standard deviation over the members of each class's probability, (C, D, H, W)."""
        self._require_members()
        if self._squares is None:
            raise ValueError("std was not among the measures asked for.")
        return np.asarray(np.sqrt(self._squares / np.float32(self._count)))

    def std(self) -> Array:
        """Spread over all classes, (D, H, W): the paper's map when there are two."""
        self._require_members()
        if self._squares is None:
            raise ValueError("std was not among the measures asked for.")
        return np.asarray(np.sqrt(self._squares.sum(axis=0) / np.float32(2 * self._count)))

    def predictive_entropy(self) -> Array:
        """Entropy of the mean: all uncertainty, of the members and between them; (D, H, W)."""
        return _entropy(self.mean)

    def expected_entropy(self) -> Array:
        """Mean of the members' entropies: what each is unsure of by itself; (D, H, W)."""
        self._require_members()
        if self._entropies is None:
            raise ValueError("mutual_information was not among the measures asked for.")
        return self._entropies

    def mutual_information(self) -> Array:
        """What the members disagree about: predictive minus expected entropy, (D, H, W)."""
        difference = self.predictive_entropy() - self.expected_entropy()
        return np.asarray(np.maximum(difference, np.float32(0)))

    def variation_ratio(self) -> Array:
        """Share of the members that voted against the most voted class, (D, H, W)."""
        self._require_members()
        if self._votes is None:
            raise ValueError("variation_ratio was not among the measures asked for.")
        most = self._votes.max(axis=0).astype(np.float32)
        return np.asarray(1 - most / np.float32(self._count), np.float32)

    def measure(self, name: Measure) -> Array:
        """Return the measure of that name, (D, H, W)."""
        if name == "std":
            return self.std()
        if name == "entropy":
            return self.predictive_entropy()
        if name == "mutual_information":
            return self.mutual_information()
        if name == "variation_ratio":
            return self.variation_ratio()
        raise ValueError(f"measure must be one of {', '.join(MEASURES)}, got {name!r}.")

    def _require_members(self) -> None:
        if self._count == 0:
            raise ValueError("No member has come yet.")


def upper_bound(measure: Measure, classes: int, members: int) -> float:
    """Return the largest value a measure can take, as the top of a colour scale.

    For ``std`` the bound is reached when the members split evenly between the classes, each certain.
    With one member only the entropy can differ from 0; its bounds are returned all the same.

    Parameters
    ----------
    measure
        One of `MEASURES`.
    classes
        C, background included.
    members
        K.
    """
    voices = max(min(classes, members), 2)
    if measure == "std":
        return math.sqrt(0.5 * (1 - _collision(voices, members)))
    if measure == "entropy":
        return math.log(classes)
    if measure == "mutual_information":
        return math.log(voices)
    if measure == "variation_ratio":
        return 1 - math.ceil(members / voices) / members if members > 1 else 0.5
    raise ValueError(f"measure must be one of {', '.join(MEASURES)}, got {measure!r}.")


def _collision(voices: int, members: int) -> float:
    """Sum of squared vote shares when `members` votes are spread as evenly as they can be."""
    if members < 2:
        return 1 / voices
    low, extra = divmod(members, voices)
    return float(extra * (low + 1) ** 2 + (voices - extra) * low**2) / members**2


def _entropy(probabilities: Array) -> Array:
    """Shannon entropy over the class axis in nats, with 0 ln 0 = 0."""
    total = np.zeros(probabilities.shape[1:], np.float32)
    smallest = np.finfo(np.float32).tiny
    for p in probabilities:
        total -= p * np.log(np.maximum(p, smallest))
    return np.asarray(np.maximum(total, np.float32(0)))
