"""What sites and server send each other to make a profile, see `fedcross.calibration.profile`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from fedcross.errors import DataError
from fedcross.model.profile import MAX_GROUPS, MAX_SITES, PropertyName
from fedcross.uncertainty.moments import Moments
from fedcross.volumes.structure import StrictModel

MAX_NUMBERS = 2048
"""Largest number of properties of a case that a site may send."""
LARGEST = 1e12

Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]


class SentMoments(StrictModel):
    """Moments of n vectors of d numbers, as a site sends them.

    Attributes
    ----------
    count : int
        n, 1 or more.
    mean : tuple of float
        The d means.
    scatter : tuple of float
        The lower triangle of the scatter, row by row, d (d + 1) / 2 numbers.
    """

    count: Annotated[int, Field(ge=1, le=1_000_000)]
    mean: Annotated[tuple[Number, ...], Field(min_length=1, max_length=MAX_NUMBERS)]
    scatter: Annotated[
        tuple[Number, ...], Field(min_length=1, max_length=MAX_NUMBERS * (MAX_NUMBERS + 1) // 2)
    ]

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        d = len(self.mean)
        if len(self.scatter) != d * (d + 1) // 2:
            raise ValueError(f"{d} means need {d * (d + 1) // 2} numbers of the scatter")
        if min(self.moments.scatter.diagonal()) < 0:
            raise ValueError("a sum of squares must not be below 0")
        return self

    @classmethod
    def of(cls, moments: Moments) -> Self:
        """Return the form of some moments."""
        triangle = moments.scatter[np.tril_indices(len(moments.mean))]
        return cls(
            count=moments.count, mean=tuple(moments.mean.tolist()), scatter=tuple(triangle.tolist())
        )

    @property
    def moments(self) -> Moments:
        """The moments."""
        d = len(self.mean)
        scatter = np.zeros((d, d))
        scatter[np.tril_indices(d)] = self.scatter
        scatter += np.tril(scatter, -1).T
        return Moments(self.count, np.array(self.mean), scatter)


class SiteProperties(StrictModel):
    """What a site sends first.

    Attributes
    ----------
    groups : tuple of tuple of str
        Names of the properties by group.
    moments : SentMoments
        Moments of the properties of the site's cases, in the order of the names.
    validation : int
        How many of these cases are validation cases.
    """

    groups: Annotated[
        tuple[Annotated[tuple[PropertyName, ...], Field(min_length=1)], ...],
        Field(min_length=1, max_length=MAX_GROUPS),
    ]
    moments: SentMoments
    validation: Annotated[int, Field(ge=0, le=1_000_000)]

    @model_validator(mode="after")
    def _check_counts(self) -> Self:
        if sum(map(len, self.groups)) != len(self.moments.mean):
            raise ValueError("each property needs a mean")
        if self.validation > self.moments.count:
            raise ValueError("there cannot be more validation cases than cases")
        return self


@dataclass(frozen=True)
class KnownMoments:
    """What the server sends to a site: the moments of all sites.

    Attributes
    ----------
    sites : tuple of Moments
        Moments of the properties of each site.
    own : int
        Index of the site that receives this.
    only_validation : bool
        Whether only validation cases are scored.
    distances : Moments or None
        Moments of the logarithms of the distances of all sites; None before they are known.
    """

    sites: tuple[Moments, ...]
    own: int
    only_validation: bool
    distances: Moments | None = None

    def to_tensors(self) -> dict[str, Tensor]:
        """Return everything as tensors; the numbers are float64."""
        tensors = {
            "own": torch.tensor(self.own),
            "only_validation": torch.tensor(self.only_validation),
            **_tensors_of("site", self.sites),
        }
        return tensors if self.distances is None else tensors | _tensors_of("all", [self.distances])

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "KnownMoments":
        """Return what `to_tensors` has turned into tensors.

        Raises
        ------
        DataError
            If a tensor is missing, has another shape, or holds a number that is not finite.
        """
        try:
            sites = _moments_of("site", tensors)
            own = int(tensors["own"])
            if not 0 <= own < len(sites) <= MAX_SITES:
                raise ValueError("there is no such site")
            distances = _moments_of("all", tensors)[0] if "all.counts" in tensors else None
            return cls(sites, own, bool(tensors["only_validation"]), distances)
        except (KeyError, ValueError, RuntimeError, IndexError) as error:
            raise DataError("The server sent moments of another form.") from error


def _tensors_of(prefix: str, moments: "tuple[Moments, ...] | list[Moments]") -> dict[str, Tensor]:
    return {
        f"{prefix}.counts": torch.tensor([each.count for each in moments]),
        f"{prefix}.means": torch.from_numpy(np.stack([each.mean for each in moments])),
        f"{prefix}.scatters": torch.from_numpy(np.stack([each.scatter for each in moments])),
    }


def _moments_of(prefix: str, tensors: Mapping[str, Tensor]) -> tuple[Moments, ...]:
    counts = tensors[f"{prefix}.counts"].tolist()
    means, scatters = (_numbers(tensors[f"{prefix}.{part}"]) for part in ("means", "scatters"))
    n, d = means.shape
    if scatters.shape != (n, d, d) or len(counts) != n:
        raise ValueError("the shapes differ")
    return tuple(map(Moments, map(int, counts), means, scatters))


def _numbers(tensor: Tensor) -> NDArray[np.float64]:
    values = np.array(tensor.numpy(), dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a number is not finite")
    return values
