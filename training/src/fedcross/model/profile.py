"""The profile of a bundle: what the cases of its sites have in common.

It holds counts, means and covariances of the properties of `fedcross.infer.familiarity`, and no figure
of a single case. This module does not import torch.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fedcross.volumes.structure import StrictModel

MAX_SITES = 1024
MAX_GROUPS = 1024
MAX_PROPERTIES = 64
"""Largest number of properties of a group."""
MIN_SCORES = 5
"""Smallest number of cases from whose scores a limit is computed."""

PropertyName = Annotated[str, Field(max_length=60, pattern=r"^[a-z0-9_]+(:[0-9]{1,3})?$")]
Value = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Logarithm = Annotated[float, Field(ge=-20, le=20, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
FALSE_ALARM_RATE = 0.05


class ProfileGroup(StrictModel):
    """A group of d properties that are compared together.

    Attributes
    ----------
    properties : tuple of str
        Names of the properties.
    means : tuple of tuple of float
        For each site the d means.
    covariance : tuple of float
        Covariance within the sites: the lower triangle, row by row, d (d + 1) / 2 numbers.
    scale : float
        What the distance in this group is divided by.
    """

    properties: Annotated[tuple[PropertyName, ...], Field(min_length=1, max_length=MAX_PROPERTIES)]
    means: Annotated[tuple[tuple[Value, ...], ...], Field(min_length=1, max_length=MAX_SITES)]
    covariance: Annotated[
        tuple[Value, ...], Field(max_length=MAX_PROPERTIES * (MAX_PROPERTIES + 1) // 2)
    ]

    scale: Annotated[float, Field(ge=0.01, le=1e6, allow_inf_nan=False)]

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        count = len(self.properties)
        if len(set(self.properties)) != count:
            raise ValueError("two properties have the same name")
        if any(len(row) != count for row in self.means):
            raise ValueError(f"each site must have {count} means")
        if len(self.covariance) != count * (count + 1) // 2:
            raise ValueError(
                f"{count} properties need {count * (count + 1) // 2} covariances, got "
                f"{len(self.covariance)}"
            )
        self._check_covariance(count)
        return self

    def _check_covariance(self, count: int) -> None:
        """Check that no correlation is above 1."""
        start = [row * (row + 1) // 2 for row in range(count + 1)]
        variances = [self.covariance[start[row] + row] for row in range(count)]
        if min(variances) < 0:
            raise ValueError(f"a variance must not be below 0, got {min(variances)}")
        for row in range(count):
            for column, value in enumerate(self.covariance[start[row] : start[row + 1]]):
                if value**2 > 1.001 * variances[row] * variances[column] + 1e-9:
                    raise ValueError(f"a correlation is above 1: covariance {value}")


class Profile(StrictModel):
    """Properties of the cases of the training sites.

    Attributes
    ----------
    counts : tuple of int
        Number of cases of each site; small sites are taken together.
    groups : tuple of ProfileGroup
        The properties.
    score_count : int
        Number of cases from whose scores the limit was computed.
    score_mean, score_deviation : float
        Mean and standard deviation (n - 1) of the natural logarithms of their scores.
    scored : str
        Which cases these were: ``validation``, or ``all``, training cases included.
    false_alarm_rate : float
        Probability with which a case of the same sites exceeds the limit.
    """

    counts: Annotated[tuple[Count, ...], Field(min_length=1, max_length=MAX_SITES)]
    groups: Annotated[tuple[ProfileGroup, ...], Field(min_length=1, max_length=MAX_GROUPS)]
    score_count: Annotated[int, Field(ge=MIN_SCORES, le=1_000_000)]
    score_mean: Logarithm
    score_deviation: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)]
    scored: Literal["validation", "all"]
    false_alarm_rate: Annotated[float, Field(ge=0.001, le=0.5)] = FALSE_ALARM_RATE

    @model_validator(mode="after")
    def _check_sites(self) -> Self:
        if any(len(group.means) != len(self.counts) for group in self.groups):
            raise ValueError(f"each group needs the means of {len(self.counts)} sites")
        names = [name for group in self.groups for name in group.properties]
        if len(set(names)) != len(names):
            raise ValueError("two groups have the same property")
        return self
