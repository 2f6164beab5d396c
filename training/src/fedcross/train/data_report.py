"""What a check of the data found: plain figures, one sentence for everything that is wrong."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedcross.train.splits import PARTS

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
        A slice through the label's middle; not of every case.
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

    def volume_ml(self, structure: str) -> float | None:
        """Median volume of a structure over the cases that have it."""
        volumes = [v for case in self.cases if (v := case.volumes_ml.get(structure, 0.0)) > 0]
        return median(volumes) if volumes else None


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


HEADING = ("site", "cases", "split", "voxels", "spacing, mm", "intensity", "volume, mL", "wrong")


def overview(report: DataReport) -> list[tuple[str, ...]]:
    """A row of `HEADING` for every site: ranges over its cases, medians of percentiles."""
    return [_row(site, report.structures) for site in report.sites]


def _row(site: SiteReport, structures: Sequence[str]) -> tuple[str, ...]:
    wrong = sum(1 for _ in site.problems())
    split = "/".join(str(site.count(part)) for part in PARTS)
    good = site.readable
    if not good:
        return site.name, str(len(site.cases)), split, "", "", "", "", str(wrong)
    sizes = zip(*(case.size for case in good if case.size), strict=True)
    spacings = zip(*(case.spacing_mm for case in good if case.spacing_mm), strict=True)
    low, middle, high = (
        median(case.percentiles[PERCENTILES.index(q)] for case in good) for q in (1, 50, 99)
    )
    volumes = []
    for name in structures:
        each = [case.volumes_ml[name] for case in good if name in case.volumes_ml]
        volumes.append(f"{name} {_span(each)}" if each else f"{name} not drawn")
    return (
        site.name,
        str(len(site.cases)),
        split,
        " x ".join(_span(sides) for sides in sizes),
        " x ".join(_span(steps) for steps in spacings),
        f"{low:.3g} {middle:.3g} {high:.3g}",
        "; ".join(volumes),
        str(wrong) if wrong else "none",
    )


def _span(values: Sequence[float]) -> str:
    """The smallest and the largest, or the only value there is."""
    low, high = f"{min(values):.4g}", f"{max(values):.4g}"
    return low if low == high else f"{low}..{high}"
