"""Count, mean and scatter of vectors: what sites can add up without moving a case."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Moments:
    """Count, mean and scatter of some vectors of d numbers.

    They are merged without loss: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm
    for computing sample variances", 1979. The means are subtracted first, so no digits are lost.

    Attributes
    ----------
    count : int
        n, 0 or more.
    mean : NDArray
        float64 (d,); 0 without a vector.
    scatter : NDArray
        float64 (d, d): the sum of (x - mean)(x - mean)'.
    """

    count: int
    mean: NDArray[np.float64]
    scatter: NDArray[np.float64]

    @classmethod
    def of(cls, vectors: ArrayLike) -> "Moments":
        """Return the moments of the rows of an array (n, d).

        Raises
        ------
        ValueError
            If the array has not two axes, or a number is not finite.
        """
        rows = np.asarray(vectors, dtype=np.float64)
        if rows.ndim != 2 or not np.isfinite(rows).all():
            raise ValueError(f"vectors must be finite (n, d), got the shape {rows.shape}.")
        mean = rows.mean(axis=0) if len(rows) else np.zeros(rows.shape[1])
        centred = rows - mean
        return cls(len(rows), mean, centred.T @ centred)

    def __add__(self, other: "Moments") -> "Moments":
        count = self.count + other.count
        if count == 0:
            return self
        step = other.mean - self.mean
        between = self.count * other.count / count * np.outer(step, step)
        mean = self.mean + step * (other.count / count)
        return Moments(count, mean, self.scatter + other.scatter + between)

    def without(self, vector: NDArray[np.float64]) -> "Moments":
        """Return the moments without one of the vectors.

        Raises
        ------
        ValueError
            If there is none.
        """
        if self.count == 0:
            raise ValueError("There is no vector to leave out.")
        rest = self.count - 1
        if rest == 0:
            return Moments(0, np.zeros_like(self.mean), np.zeros_like(self.scatter))
        step = vector - self.mean
        scatter = self.scatter - self.count / rest * np.outer(step, step)
        return Moments(rest, self.mean - step / rest, scatter)

    def part(self, indices: NDArray[np.intp]) -> "Moments":
        """Return the moments of some of the d numbers."""
        return Moments(self.count, self.mean[indices], self.scatter[np.ix_(indices, indices)])


def merge(moments: Iterable[Moments]) -> Moments:
    """Return the moments of all vectors together, of at least one site."""
    return reduce(Moments.__add__, moments)
