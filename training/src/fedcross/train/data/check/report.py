"""What a check of the data found: plain figures, one sentence for everything that is wrong."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

PICTURES = 6  # of each site
PERCENTILES = (1, 25, 50, 75, 99)
HISTOGRAM_EDGES = np.linspace(-3.0, 5.0, 65)  # of z-scores


@dataclass(frozen=True)
class Picture:
    """One slice of a case.

    Attributes
    ----------
    image
        (rows, columns) float32, scaled so that percentiles 1 and 99 are 0 and 1.
    label
        (rows, columns) uint8, values of the output.
    aspect
        Height of a voxel divided by its width.
    """

    image: NDArray[np.float32]
    label: NDArray[np.uint8]
    aspect: float


@dataclass(frozen=True)
class CaseReport:
    """What is known of one case; None or empty where it could not be read.

    Attributes
    ----------
    name, part, patient
        `part` is train, validation, test or unused, and empty if the site could not be split.
    size, spacing_mm
        (x, y, z) as stored.
    percentiles
        Intensities at `PERCENTILES`.
    values
        Value in the label's file -> voxels.
    volumes_ml
        Structure's name -> volume.
    sha256
        Of the voxels, whatever the file's format, type and order of axes.
    problem
        Why the case cannot be used.
    remarks
        What is odd about it.
    histogram
        Share of voxels by z-score, between `HISTOGRAM_EDGES`.
    picture
        A slice through the label's middle, as radiologists look at it; not of every case.
    """

    name: str
    part: str = ""
    patient: str = ""
    size: tuple[int, int, int] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    percentiles: tuple[float, ...] = ()
    values: Mapping[int, int] = field(default_factory=dict)
    volumes_ml: Mapping[str, float] = field(default_factory=dict)
    sha256: str | None = None
    problem: str | None = None
    remarks: tuple[str, ...] = ()
    histogram: NDArray[np.float64] | None = None
    picture: Picture | None = None

    def record(self) -> dict[str, Any]:
        """Everything but the pictures, as JSON can hold it."""
        values = {f"{value:g}": count for value, count in self.values.items()}
        plain = {**self.__dict__, "values": values, "volumes_ml": dict(self.volumes_ml)}
        return {key: value for key, value in plain.items() if key not in ("histogram", "picture")}


@dataclass(frozen=True)
class SiteReport:
    """What is known of one site; `problem` tells why its cases cannot be found or split."""

    name: str
    cases: tuple[CaseReport, ...] = ()
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    problem: str | None = None

    def count(self, part: str) -> int:
        """How many cases a part has."""
        return sum(case.part == part for case in self.cases)

    @property
    def readable(self) -> list[CaseReport]:
        """The cases whose image could be read."""
        return [case for case in self.cases if case.size is not None]

    def problems(self) -> Iterator[str]:
        """What is wrong here."""
        if self.problem is not None:
            yield self.problem
        yield from (case.problem for case in self.cases if case.problem is not None)


@dataclass(frozen=True)
class Duplicate:
    """Cases with the same voxels: (site, case, part) of each."""

    cases: tuple[tuple[str, str, str], ...]

    @property
    def leaks(self) -> bool:
        """Whether they take part at different sites, or in different parts of one."""
        return len({(site, part) for site, _, part in self.cases if part != "unused"}) > 1

    @property
    def sentence(self) -> str:
        """The same in words."""
        told = [
            f"{case} of {site}{f' ({part})' if part else ''}" for site, case, part in self.cases
        ]
        return f"The same image: {', '.join(told)}."


@dataclass(frozen=True)
class DataReport:
    """What a check found."""

    sites: tuple[SiteReport, ...]
    structures: tuple[str, ...]
    duplicates: tuple[Duplicate, ...] = ()

    def problems(self) -> list[str]:
        """Everything that keeps the federation from being trained, or its test from being one."""
        found = [problem for site in self.sites for problem in site.problems()]
        return found + [duplicate.sentence for duplicate in self.duplicates if duplicate.leaks]

    def remarks(self) -> list[str]:
        """What is odd, or good to know."""
        found: list[str] = []
        for site in self.sites:
            found += [f"{site.name}: {note}" for note in (*site.notes, *site.remarks)]
            found += [
                f"Case {case.name} of site {site.name}: {remark}"
                for case in site.cases
                for remark in case.remarks
            ]
        return found + [each.sentence for each in self.duplicates if not each.leaks]

    def record(self) -> dict[str, Any]:
        """Everything but the pictures, as JSON can hold it."""
        return {
            "problems": self.problems(),
            "remarks": self.remarks(),
            "percentiles": list(PERCENTILES),
            "duplicates": [asdict(duplicate) for duplicate in self.duplicates],
            "sites": [
                {
                    "name": site.name,
                    "problem": site.problem,
                    "notes": list(site.notes),
                    "cases": [case.record() for case in site.cases],
                }
                for site in self.sites
            ],
        }
