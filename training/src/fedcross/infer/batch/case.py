"""One of many cases to segment."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from fedcross.errors import FedCrossError

LONGEST = 100
"""Characters of a name that `safe_name` makes."""


@dataclass(frozen=True)
class Case:
    """One of many cases.

    Attributes
    ----------
    name
        Name of its result folder; unique among the cases.
    images
        The image of each channel.
    series
        Which volume of a DICOM folder it is, see `fedcross.contract.request`; None for the only one.
    problem
        Why it cannot be segmented; None if that is not known before its images are read.
    """

    name: str
    images: tuple[Path, ...]
    series: str | None = None
    problem: FedCrossError | None = None


def safe_name(text: str) -> str:
    """Return a text as the name of a folder: letters, digits, ``_``, ``-`` and ``.``, never hidden."""
    return re.sub(r"[^\w.-]+", "_", text).strip("._")[:LONGEST] or "case"


def with_unique_names(cases: Iterable[Case]) -> list[Case]:
    """Return the cases; the second one of a name gets ``-2`` at its end, and so on.

    Names that differ only in upper and lower case count as the same, because they are one folder on some
    systems.
    """
    seen: Counter[str] = Counter()
    named = []
    for case in cases:
        name = case.name
        while seen[name.casefold()]:
            seen[case.name.casefold()] += 1
            name = f"{case.name}-{seen[case.name.casefold()]}"
        seen[name.casefold()] += 1
        named.append(replace(case, name=name))
    return named
