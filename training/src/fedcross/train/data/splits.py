"""Who trains, who validates, who tests: splits that never tear a patient's scans apart."""

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
        The parts.
    unused
        What the split's numbers leave over.
    notes
        What is worth knowing about the data set, one sentence each.
    """

    train: tuple[CaseFiles, ...]
    validation: tuple[CaseFiles, ...]
    test: tuple[CaseFiles, ...]
    unused: tuple[CaseFiles, ...] = ()
    notes: tuple[str, ...] = ()

    def names(self) -> dict[str, list[str]]:
        """The cases' names by part, for the record."""
        return {part: [case.name for case in cases] for part, cases in self.parts()}

    def parts(self) -> Iterator[tuple[str, tuple[CaseFiles, ...]]]:
        """The parts by name, those left over last."""
        for part in (*PARTS, "unused"):
            yield part, getattr(self, part)


def split_by_count(
    site: str, cases: Sequence[CaseFiles], counts: Counts, seed: int, notes: Sequence[str] = ()
) -> SiteCases:
    """Draw a split with exactly these numbers of cases, patient by patient.

    The seed and the site's name decide, so that another site more leaves this one's split as it was.

    Raises
    ------
    DataError
        If there are too few cases, or no way is found that keeps every patient together.
    """
    if len(cases) < sum(counts):
        raise DataError(
            f"Site {site} has {len(cases)} cases, fewer than its split {list(counts)} needs "
            f"({sum(counts)}).",
            "Add cases, or make the split smaller.",
        )
    patients: dict[str, list[CaseFiles]] = {}
    for case in sorted(cases, key=lambda case: case.name):
        patients.setdefault(case.patient or case.name, []).append(case)
    order = list(patients.values())
    python_generator("split", seed, site).shuffle(order)
    # In the order drawn; if that leaves a gap that nobody fits, those with most scans first.
    for attempt in (order, sorted(order, key=len, reverse=True)):
        parts = _first_fit(attempt, counts)
        if all(len(part) == count for part, count in zip(parts, counts, strict=False)):
            train, validation, test, unused = map(tuple, parts)
            return SiteCases(train, validation, test, unused, tuple(notes))
    raise DataError(
        f"The {len(cases)} cases of site {site} cannot be split into {list(counts)} without "
        f"tearing the scans of one of its {len(order)} patients apart.",
        "Choose other numbers, or name the cases of each part.",
    )


def _first_fit(
    patients: Sequence[Sequence[CaseFiles]], counts: Counts
) -> tuple[list[CaseFiles], ...]:
    """Every patient into the first part that has room, and into a fourth if none has."""
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
    """The split that names every case of the parts.

    Raises
    ------
    DataError
        If a case is not there or named twice, nobody trains, or a patient is in two parts.
    """
    by_name = {case.name: case for case in cases}
    part_of: dict[str, str] = {}
    for part in PARTS:
        for name in names[part]:
            if name not in by_name:
                raise DataError(f"The split of site {site} names {name}, which is not there.")
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
                f"Cases {other.name} and {case.name} of site {site} are of one patient, but the "
                f"split has one in {part_of[other.name]} and one in {part_of[case.name]}.",
                "Put them into the same part.",
            )
