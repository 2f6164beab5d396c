"""Mean and spread of an ensemble whose members come one at a time; see `measures` for the formulas."""

from collections.abc import Collection
from typing import IO, TypeVar

import numpy as np
from numpy.typing import NDArray

from fedcross.uncertainty.measures import MEASURES, Measure, entropy

Array = NDArray[np.float32]
_Map = TypeVar("_Map", Array, NDArray[np.uint8])

_ROUNDING = 1e-3  # how far a blend in half precision may leave 0..1; logits leave it much further
_MAX_VOTES = 255  # in a byte


class EnsembleStatistics:
    """Mean and spread of K members that come one at a time and are not kept.

    Mean and variance follow Welford ("Note on a method for calculating corrected sums of squares and
    products", Technometrics 1962): unlike E[x^2] - E[x]^2 they keep, in float32, the spread of members
    that nearly agree. (The mutual information is a difference of two entropies: below about 1e-6 nats
    it is rounding.)

    What is held does not grow with K: C maps for the mean and, as the measures need, one for the
    squares, added up over the classes, one for the entropy and C bytes per voxel for the votes. An
    update takes a few maps more for a moment.

    Parameters
    ----------
    shape
        Shape of one member's probabilities, class axis first: (C, D, H, W), C at least 2.
    measures
        Which measures will be asked for; None means all of them. The mean, and with it the entropy,
        is always there.

    Raises
    ------
    ValueError
        If there are fewer than 2 classes, or a measure is unknown.
    """

    def __init__(self, shape: tuple[int, ...], measures: Collection[Measure] | None = None) -> None:
        if len(shape) < 1 or shape[0] < 2:
            raise ValueError(f"shape must begin with at least 2 classes, got {shape}.")
        wanted = set(MEASURES if measures is None else measures)
        if unknown := wanted.difference(MEASURES):
            raise ValueError(
                f"measures must be among {', '.join(MEASURES)}, got {sorted(unknown)}."
            )
        self._shape = tuple(shape)
        self._count = 0
        self._mean = np.zeros(shape, np.float32)
        self._squares = np.zeros(shape[1:], np.float32) if "std" in wanted else None
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
            Float32 of the shape given at the start; over the class axis they add up to 1. Neither
            kept nor changed. Of equally probable classes the lowest gets the member's vote.

        Raises
        ------
        ValueError
            If shape or dtype differ, a number is not finite or not a probability, or this would be
            the 256th member to vote; the member is then left out.
        """
        self._check(probabilities)
        self._count += 1
        count = np.float32(self._count)
        for c, member in enumerate(probabilities):  # class by class keeps temporaries small
            delta = member - self._mean[c]
            self._mean[c] += delta / count
            if self._squares is not None:
                self._squares += delta * (member - self._mean[c])
        if self._entropies is not None:
            self._entropies += (entropy(probabilities) - self._entropies) / count
        if self._votes is not None:
            winner = probabilities.argmax(axis=0)
            for c in range(len(self._votes)):
                self._votes[c] += winner == c

    def save(self, file: IO[bytes]) -> None:
        """Write what has been gathered, as bytes of this machine's order.

        Raises
        ------
        OSError
            If the disk is full.
        """
        for gathered in self._held():
            file.write(gathered.data)

    def load(self, file: IO[bytes], count: int) -> None:
        """Go on where statistics of the same shape and measures were saved after `count` members.

        Raises
        ------
        ValueError
            If the file ends too early.
        """
        for gathered in self._held():
            found = np.frombuffer(file.read(gathered.nbytes), gathered.dtype)
            if found.size != gathered.size:
                raise ValueError("The saved statistics are cut short.")
            gathered[:] = found.reshape(gathered.shape)
        self._count = count

    @property
    def nbytes(self) -> int:
        """How much is held, and saved."""
        return sum(gathered.nbytes for gathered in self._held())

    def _held(self) -> "list[NDArray[np.float32] | NDArray[np.uint8]]":
        maps = (self._mean, self._squares, self._entropies, self._votes)
        return [gathered for gathered in maps if gathered is not None]

    def _check(self, probabilities: Array) -> None:
        if probabilities.shape != self._shape or probabilities.dtype != np.float32:
            raise ValueError(
                f"probabilities must be float32 {self._shape}, got {probabilities.dtype} "
                f"{probabilities.shape}."
            )
        lowest, highest = probabilities.min(initial=0), probabilities.max(initial=0)
        if not (lowest >= -_ROUNDING and highest <= 1 + _ROUNDING):  # so written, NaN fails too
            raise ValueError(f"probabilities must be from 0 to 1, got {lowest} to {highest}.")
        if self._votes is not None and self._count == _MAX_VOTES:
            raise ValueError(f"variation_ratio must be of at most {_MAX_VOTES} members.")

    @property
    def mean(self) -> Array:
        """The ensemble's probabilities, (C, D, H, W): no copy, to be read and not written."""
        return self._gathered(self._mean, "mean")

    def std(self) -> Array:
        """Spread over all classes, (D, H, W): the paper's map when there are two."""
        squares = self._gathered(self._squares, "std")
        return np.asarray(np.sqrt(squares / np.float32(2 * self._count)))

    def predictive_entropy(self) -> Array:
        """Entropy of the mean: all uncertainty, of the members and between them; (D, H, W)."""
        return entropy(self.mean)

    def expected_entropy(self) -> Array:
        """Mean of the members' entropies: what each is unsure of by itself; (D, H, W), no copy."""
        return self._gathered(self._entropies, "mutual_information")

    def mutual_information(self) -> Array:
        """What the members disagree about: predictive minus expected entropy, (D, H, W).

        By Jensen's inequality it is not negative; what rounding leaves below 0 is set to 0.
        """
        expected = self.expected_entropy()
        return np.asarray(np.maximum(self.predictive_entropy() - expected, np.float32(0)))

    def variation_ratio(self) -> Array:
        """Share of the members that voted against the most voted class, (D, H, W)."""
        most = self._gathered(self._votes, "variation_ratio").max(axis=0)
        return np.asarray(1 - most / np.float32(self._count), np.float32)

    def measure(self, name: Measure) -> Array:
        """Return the measure of that name, (D, H, W); ``entropy`` is the predictive entropy.

        Raises
        ------
        ValueError
            As for every measure and the mean: if no member has come yet, the name is unknown, or the
            measure was not among those asked for at the start.
        """
        if name == "std":
            return self.std()
        if name == "entropy":
            return self.predictive_entropy()
        if name == "mutual_information":
            return self.mutual_information()
        if name == "variation_ratio":
            return self.variation_ratio()
        raise ValueError(f"measure must be one of {', '.join(MEASURES)}, got {name!r}.")

    def _gathered(self, gathered: _Map | None, name: str) -> _Map:
        if gathered is None:
            raise ValueError(f"{name} was not among the measures asked for.")
        if self._count == 0:
            raise ValueError("No member has come yet.")
        return gathered
