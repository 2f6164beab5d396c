"""Mean and spread of an ensemble, computed from one member at a time (formulas: see `measures`)."""

from collections.abc import Collection
from typing import IO, TypeVar

import numpy as np
from numpy.typing import NDArray

from fedcross.uncertainty.measures import MEASURES, Measure, entropy

Array = NDArray[np.float32]
_Map = TypeVar("_Map", Array, NDArray[np.uint8])

_ROUNDING = 1e-3  # half precision may leave 0..1 by less than this; logits leave it by much more
_MAX_VOTES = 255  # votes are counted in one byte


class EnsembleStatistics:
    """Mean and spread of K members, which are added one at a time and not stored.

    Mean and variance follow Welford ("Note on a method for calculating corrected sums of squares and
    products", Technometrics 1962). Unlike E[x^2] - E[x]^2, this keeps the spread of members that nearly
    agree exact in float32. The mutual information is a difference of two entropies; below about 1e-6
    nats it is rounding error.

    Memory does not grow with K. It holds C float32 maps for the mean and, depending on the measures,
    one float32 map for the squares (summed over the classes), one float32 map for the entropy, and C
    bytes per voxel for the votes. An update needs a few more maps temporarily.

    Parameters
    ----------
    shape
        Shape of one member's probabilities, class axis first: (C, D, H, W), C at least 2.
    measures
        Measures that can be requested later; None means all of them. The mean and the entropy are
        always available.

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
        """Number of members added."""
        return self._count

    def update(self, probabilities: Array) -> None:
        """Add the probabilities of one member.

        Parameters
        ----------
        probabilities
            float32 (C, D, H, W), the shape given to the constructor; the sum over the class axis is 1.
            The array is neither stored nor changed. If several classes are equally probable, the
            lowest gets the member's vote.

        Raises
        ------
        ValueError
            If shape or dtype differ, a number is not finite or not from 0 to 1, or votes are counted
            and 255 members were added before. The member is then not added.
        """
        self._check(probabilities)
        self._count += 1
        count = np.float32(self._count)
        for c, member in enumerate(probabilities):  # class by class, so that temporaries stay small
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
        """Write the statistics to a file, in this machine's byte order.

        Raises
        ------
        OSError
            If the file cannot be written, for example because the disk is full.
        """
        for array in self._arrays():
            file.write(array.data)

    def load(self, file: IO[bytes], count: int) -> None:
        """Replace the statistics by saved ones.

        Parameters
        ----------
        file
            Written by `save` of statistics with the same shape and measures.
        count
            Number of members that had been added when they were saved.

        Raises
        ------
        ValueError
            If the file ends too early.
        """
        for array in self._arrays():
            found = np.frombuffer(file.read(array.nbytes), array.dtype)
            if found.size != array.size:
                raise ValueError("The saved statistics are cut short.")
            array[:] = found.reshape(array.shape)
        self._count = count

    @property
    def nbytes(self) -> int:
        """Size of the statistics in bytes, in memory and when saved."""
        return sum(array.nbytes for array in self._arrays())

    def _arrays(self) -> "list[NDArray[np.float32] | NDArray[np.uint8]]":
        arrays = (self._mean, self._squares, self._entropies, self._votes)
        return [array for array in arrays if array is not None]

    def _check(self, probabilities: Array) -> None:
        if probabilities.shape != self._shape or probabilities.dtype != np.float32:
            raise ValueError(
                f"probabilities must be float32 {self._shape}, got {probabilities.dtype} "
                f"{probabilities.shape}."
            )
        lowest, highest = probabilities.min(initial=0), probabilities.max(initial=0)
        if not (lowest >= -_ROUNDING and highest <= 1 + _ROUNDING):  # this form also refuses NaN
            raise ValueError(f"probabilities must be from 0 to 1, got {lowest} to {highest}.")
        if self._votes is not None and self._count == _MAX_VOTES:
            raise ValueError(f"variation_ratio can count at most {_MAX_VOTES} members.")

    @property
    def mean(self) -> Array:
        """Mean probabilities of the members, float32 (C, D, H, W): a view that must not be changed."""
        return self._require(self._mean, "mean")

    def std(self) -> Array:
        """Return the standard deviation over the members, (D, H, W); see `measures` for C > 2."""
        squares = self._require(self._squares, "std")
        return np.asarray(np.sqrt(squares / np.float32(2 * self._count)))

    def predictive_entropy(self) -> Array:
        """Return the entropy of the mean, (D, H, W): uncertainty within and between members."""
        return entropy(self.mean)

    def expected_entropy(self) -> Array:
        """Return the mean of the members' entropies, (D, H, W): uncertainty within members.

        The result is a view that must not be changed.
        """
        return self._require(self._entropies, "mutual_information")

    def mutual_information(self) -> Array:
        """Return predictive minus expected entropy, (D, H, W): uncertainty between members.

        By Jensen's inequality it is not negative; rounding errors below 0 are set to 0.
        """
        expected = self.expected_entropy()
        return np.asarray(np.maximum(self.predictive_entropy() - expected, np.float32(0)))

    def variation_ratio(self) -> Array:
        """Return the share of members that did not vote for the most voted class, (D, H, W)."""
        most = self._require(self._votes, "variation_ratio").max(axis=0)
        return np.asarray(1 - most / np.float32(self._count), np.float32)

    def measure(self, name: Measure) -> Array:
        """Return the measure of that name, (D, H, W); ``entropy`` is the predictive entropy.

        Raises
        ------
        ValueError
            If the name is unknown, no member was added, or the measure is not among those given to
            the constructor. The methods of the single measures raise it in the last two cases, too.
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

    def _require(self, array: _Map | None, name: str) -> _Map:
        if array is None:
            raise ValueError(f"{name} is not among the measures given to the constructor.")
        if self._count == 0:
            raise ValueError("No member was added.")
        return array
