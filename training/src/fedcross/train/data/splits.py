"""Split a site's cases into training, validation and test; a patient's scans stay in one part."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fedcross.errors import DataError
from fedcross.runtime.seeding import python_generator
from fedcross.train.data.volumes import CaseFiles

PARTS = ("train", "validation", "test")
Counts = tuple[int, int, int]


@dataclass(frozen=True)
class SiteCases:
    """A site's cases, split.

    Attributes
    ----------
    train, validation, test
        The cases of each part.
    unused
        The cases that are in no part.
    notes
        Remarks about the data set, one sentence each.
    """

    train: tuple[CaseFiles, ...]
    validation: tuple[CaseFiles, ...]
    test: tuple[CaseFiles, ...]
    unused: tuple[CaseFiles, ...] = ()
    notes: tuple[str, ...] = ()

    def names(self) -> dict[str, list[str]]:
        """The cases' names by part, including "unused", for `splits.json`."""
        return {part: [case.name for case in cases] for part, cases in self.parts()}

    def parts(self) -> Iterator[tuple[str, tuple[CaseFiles, ...]]]:
        """Yield (name of the part, its cases): train, validation, test, unused."""
        for part in (*PARTS, "unused"):
            yield part, getattr(self, part)


def split_by_count(
    site: str, cases: Sequence[CaseFiles], counts: Counts, seed: int, notes: Sequence[str] = ()
) -> SiteCases:
    """Draw a random split with exactly the given numbers of cases; patients stay together.

    Patients are assigned in random order to the first part with enough room. If that does not give
    the numbers, they are assigned again, those with the most scans first.

    Parameters
    ----------
    site
        Name of the site. The split depends on `seed` and this name only, so that adding a site does
        not change the split of another.
    cases
        All cases of the site, in any order.
    counts
        Numbers of cases (train, validation, test); the remaining cases are unused.
    seed
        The run's seed.
    notes
        Remarks about the data set, copied to the result.

    Raises
    ------
    DataError
        If there are too few cases, or neither order gives the numbers.
    """
    if len(cases) < sum(counts):
        raise DataError(
            f"Site {site} has {len(cases)} cases, but its split {list(counts)} needs "
            f"{sum(counts)}.",
            "Add cases, or choose smaller numbers.",
        )
    patients: dict[str, list[CaseFiles]] = {}
    for case in sorted(cases, key=lambda case: case.name):
        patients.setdefault(case.patient or case.name, []).append(case)
    order = list(patients.values())
    python_generator("split", seed, site).shuffle(order)
    for attempt in (order, sorted(order, key=len, reverse=True)):
        parts = _first_fit(attempt, counts)
        if all(len(part) == count for part, count in zip(parts, counts, strict=False)):
            train, validation, test, unused = map(tuple, parts)
            return SiteCases(train, validation, test, unused, tuple(notes))
    raise DataError(
        f"The {len(cases)} cases of site {site} cannot be split into {list(counts)} with all scans "
        f"of each of its {len(order)} patients in one part.",
        "Choose other numbers, or name the cases of each part.",
    )


def _first_fit(
    patients: Sequence[Sequence[CaseFiles]], counts: Counts
) -> tuple[list[CaseFiles], ...]:
    """Assign every patient to the first of three parts with enough room, or else to a fourth."""
    parts: tuple[list[CaseFiles], ...] = ([], [], [], [])
    for scans in patients:
        room = [count - len(part) for count, part in zip(counts, parts, strict=False)]
        place = next((index for index, free in enumerate(room) if free >= len(scans)), 3)
        parts[place].extend(scans)
    return parts


def split_by_name(
    site: str,
    cases: Sequence[CaseFiles],
    names: Mapping[str, Sequence[str]],
    notes: Sequence[str] = (),
) -> SiteCases:
    """Split by the cases' names.

    Parameters
    ----------
    site
        Name of the site, for error messages.
    cases
        All cases of the site.
    names
        Names of the cases of each part; the keys are those of `PARTS`. Other cases are unused.
    notes
        Remarks about the data set, copied to the result.

    Raises
    ------
    DataError
        If a named case does not exist or is named twice, there is no training case, or a patient is
        in two parts.
    """
    by_name = {case.name: case for case in cases}
    part_of: dict[str, str] = {}
    for part in PARTS:
        for name in names[part]:
            if name not in by_name:
                raise DataError(f"The split of site {site} names {name}, which does not exist.")
            if name in part_of:
                raise DataError(f"The split of site {site} names {name} twice.")
            part_of[name] = part
    if not names["train"]:
        raise DataError(f"The split of site {site} has no training case.")
    _check_patients(site, [by_name[name] for name in part_of], part_of)
    train, validation, test = (tuple(by_name[name] for name in names[part]) for part in PARTS)
    left = tuple(case for case in cases if case.name not in part_of)
    return SiteCases(train, validation, test, left, tuple(notes))


def _check_patients(site: str, cases: Sequence[CaseFiles], part_of: Mapping[str, str]) -> None:
    first: dict[str, CaseFiles] = {}
    for case in cases:
        other = first.setdefault(case.patient or case.name, case)
        if part_of[other.name] != part_of[case.name]:
            raise DataError(
                f"Cases {other.name} and {case.name} of site {site} belong to one patient, but one "
                f"is in the part {part_of[other.name]} and one in {part_of[case.name]}.",
                "Put both into the same part.",
            )
