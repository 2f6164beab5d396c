"""The result of a check of the data: figures, and one sentence per error or remark."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedcross.training.data.check.figures import CaseFigures

PICTURES = 6  # most pictures per site
PERCENTILES = (1, 25, 50, 75, 99)
HISTOGRAM_EDGES = np.linspace(-3.0, 5.0, 65)  # of 64 bins of normalised intensities


@dataclass(frozen=True)
class Picture:
    """One slice of a case.

    Attributes
    ----------
    image
        (rows, columns) float32 from 0 to 1; percentiles 1 and 99 of the volume are 0 and 1.
    label
        (rows, columns) uint8, structures' labels.
    aspect
        Height of a voxel in mm divided by its width.
    """

    image: NDArray[np.float32]
    label: NDArray[np.uint8]
    aspect: float


@dataclass(frozen=True)
class CaseReport:
    """Figures, error and remarks of one case; figures that could not be read are None or empty.

    Attributes
    ----------
    name
        Name of the case.
    part
        train, validation, test or unused; empty if the site could not be split.
    patient
        The patient according to the configuration; empty if every case is a patient of its own.
    size, spacing_mm
        Voxels and voxel size in mm, (x, y, z) as stored.
    percentiles
        Intensities at the percentiles `PERCENTILES`.
    values
        Value in the label file to its number of voxels.
    volumes_ml
        Structure's name to its volume in mL.
    sha256
        Hash of the voxels, independent of the file format, see `case.voxels_sha256`.
    label_sha256
        Hash of the label's voxels on the image's grid; None if the label is empty or cannot be used.
    problem
        The error that makes the case unusable; None if there is none.
    remarks
        Unusual properties, one sentence each.
    histogram
        Share of the voxels in each bin of normalised intensities, (64,) float64, see
        `HISTOGRAM_EDGES`.
    picture
        A slice through the middle of the label; None for all but the first cases of a site.
    figures
        What `fedcross plan` needs; None if image or label cannot be used.
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
    label_sha256: str | None = None
    problem: str | None = None
    remarks: tuple[str, ...] = ()
    histogram: NDArray[np.float64] | None = None
    picture: Picture | None = None
    figures: CaseFigures | None = None

    def record(self) -> dict[str, Any]:
        """All fields except histogram and picture, for JSON."""
        values = {f"{value:g}": count for value, count in self.values.items()}
        fields = {
            **self.__dict__,
            "values": values,
            "volumes_ml": dict(self.volumes_ml),
            "figures": self.figures and self.figures.model_dump(mode="json"),
        }
        return {key: value for key, value in fields.items() if key not in ("histogram", "picture")}


@dataclass(frozen=True)
class SiteReport:
    """The reports of one site's cases, and its own error and remarks.

    Attributes
    ----------
    name
        Name of the site.
    cases
        Reports of all its cases.
    notes
        Remarks about the data set, one sentence each.
    remarks
        Unusual properties of the site as a whole, one sentence each.
    problem
        The error because of which its cases cannot be found or split; None if there is none.
    """

    name: str
    cases: tuple[CaseReport, ...] = ()
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    problem: str | None = None

    def count(self, part: str) -> int:
        """The number of cases in a part."""
        return sum(case.part == part for case in self.cases)

    @property
    def readable(self) -> list[CaseReport]:
        """The cases whose image could be read."""
        return [case for case in self.cases if case.size is not None]

    @property
    def drawn(self) -> list[CaseReport]:
        """The cases whose image and label map could be used."""
        return [case for case in self.cases if case.problem is None and case.size is not None]

    def problems(self) -> Iterator[str]:
        """Yield the errors of the site and its cases, one sentence each."""
        if self.problem is not None:
            yield self.problem
        yield from (case.problem for case in self.cases if case.problem is not None)


@dataclass(frozen=True)
class Duplicate:
    """Cases with the same voxels; `cases` has (site, case, part) of each.

    `what` is image or label.
    """

    cases: tuple[tuple[str, str, str], ...]
    what: str = "image"

    @property
    def leaks(self) -> bool:
        """Whether an image is used at two sites or in two parts of a site."""
        places = {(site, part) for site, _, part in self.cases if part != "unused"}
        return self.what == "image" and len(places) > 1

    @property
    def sentence(self) -> str:
        """A sentence that names the cases."""
        names = [
            f"{case} of {site}{f' ({part})' if part else ''}" for site, case, part in self.cases
        ]
        return f"The same {self.what}: {', '.join(names)}."


@dataclass(frozen=True)
class DataReport:
    """The result of a check: the sites' reports, the structures' names, duplicate images and labels."""

    sites: tuple[SiteReport, ...]
    structures: tuple[str, ...]
    duplicates: tuple[Duplicate, ...] = ()

    def problems(self) -> list[str]:
        """All errors, one sentence each: unusable data, and images in both training and test."""
        found = [problem for site in self.sites for problem in site.problems()]
        return found + [duplicate.sentence for duplicate in self.duplicates if duplicate.leaks]

    def remarks(self) -> list[str]:
        """All remarks, one sentence each."""
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
        """Everything except histograms and pictures, for JSON."""
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
