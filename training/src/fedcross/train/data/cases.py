"""Find a site's cases and split them into training, validation and test; no image is read."""

import fnmatch
import re
from dataclasses import dataclass, replace
from pathlib import Path

from fedcross.errors import DataError
from fedcross.train.config.site import ExplicitSplit, SiteConfig
from fedcross.train.data.sources.datasets import DATASETS
from fedcross.train.data.sources.lists import read_list
from fedcross.train.data.sources.pairs import FoundFiles, find_pairs
from fedcross.train.data.splits import PARTS, SiteCases, split_by_count, split_by_name
from fedcross.train.data.volumes import CaseFiles


@dataclass(frozen=True)
class FoundCases:
    """A site's cases before they are split.

    Attributes
    ----------
    cases
        The cases whose image and label files exist.
    problems
        Name of every other case to its error.
    parts
        Case's name to its part (train, validation or test) according to a list; empty without one.
    notes
        Remarks about the data set, one sentence each.
    """

    cases: tuple[CaseFiles, ...]
    problems: dict[str, DataError]
    parts: dict[str, str]
    notes: tuple[str, ...] = ()


def find_cases(site: SiteConfig, data_root: Path, seed: int) -> SiteCases:
    """Find and split a site's cases.

    Parameters
    ----------
    site
        The site's configuration.
    data_root
        Folder that the site's paths are relative to.
    seed
        The run's seed; together with the site's name it determines a split by numbers.

    Raises
    ------
    DataError
        If a folder is missing, empty or of another layout, an image has no label or a label no
        image, a name occurs twice, a named case is absent, there are fewer cases than the split
        needs, or a patient's scans would be in two parts.
    """
    found = gather_cases(site, data_root)
    if found.problems:
        first, *others = found.problems.values()
        more = f"Other errors: {len(others)}; fedcross data check lists them." if others else ""
        raise DataError(first.message, f"{first.hint} {more}".strip())
    return split_cases(site, found, seed)


def gather_cases(site: SiteConfig, data_root: Path) -> FoundCases:
    """Find a site's cases; errors of single cases are returned in `problems`, not raised.

    Parameters
    ----------
    site
        The site's configuration.
    data_root
        Folder that the site's paths are relative to.

    Raises
    ------
    DataError
        If an error concerns the whole site, for example an absent folder.
    """
    try:
        if site.list is not None:
            return _select_cases(site, _cases_from_list(data_root / site.list))
        if site.dataset is not None:
            found = DATASETS[site.dataset].find(data_root / str(site.root), site.channel)
        else:
            found = find_pairs(data_root, str(site.images), str(site.labels))
        return _select_cases(site, _cases_from_files(site, found))
    except DataError as error:
        raise DataError(f"Site {site.name}: {error.message}", error.hint) from error
    except OSError as error:
        place = Path(str(error.filename)).name
        raise DataError(
            f"Site {site.name}: {place} cannot be read: {error.strerror}.",
            "Check that the drive is connected and that you have permission to read it.",
        ) from error


def split_cases(site: SiteConfig, found: FoundCases, seed: int) -> SiteCases:
    """Split a site's cases according to its configuration, or else to its list.

    Parameters
    ----------
    site
        The site's configuration.
    found
        The site's cases.
    seed
        The run's seed; together with the site's name it determines a split by numbers.

    Raises
    ------
    DataError
        If neither has a split, or the split is impossible with these cases.
    """
    cases, notes = found.cases, found.notes
    if isinstance(site.split, ExplicitSplit):
        return split_by_name(site.name, cases, site.split.model_dump(), notes)
    if site.split is not None:
        return split_by_count(site.name, cases, site.split, seed, notes)
    if not found.parts:
        raise DataError(
            f"Site {site.name} has no split, and its list has no split column.",
            "Add one of them.",
        )
    used = {case.name for case in cases}
    names = {
        part: [name for name, own in found.parts.items() if own == part and name in used]
        for part in PARTS
    }
    return split_by_name(site.name, cases, names, notes)


def _cases_from_list(path: Path) -> FoundCases:
    listed = read_list(path)
    return FoundCases(
        tuple(CaseFiles(case.name, case.image, case.label, case.patient) for case in listed),
        {},
        {case.name: case.part for case in listed if case.part},
    )


def _cases_from_files(site: SiteConfig, found: FoundFiles) -> FoundCases:
    cases, problems = [], dict(found.problems)
    for name in sorted({*found.images, *found.labels} - problems.keys()):
        if name in found.images and name in found.labels:
            cases.append(CaseFiles(name, found.images[name], found.labels[name]))
        else:
            half = "an image but no label" if name in found.images else "a label but no image"
            problems[name] = DataError(
                f"Case {name} of site {site.name} has {half}.",
                "Add the missing file, or name the case in exclude.",
            )
    return FoundCases(tuple(cases), problems, {}, found.notes)


def _select_cases(site: SiteConfig, found: FoundCases) -> FoundCases:
    """Apply the site's options: keep the selected cases and add patient, channel and resampling."""
    known = [*(case.name for case in found.cases), *found.problems]
    for pattern in (*site.cases, *site.exclude):
        if not any(fnmatch.fnmatchcase(name, pattern) for name in known):
            raise DataError(f"There is no case {pattern}.", "Check cases and exclude.")
    problems = {name: e for name, e in found.problems.items() if _is_wanted(site, name)}
    cases = []
    for case in found.cases:
        if not _is_wanted(site, case.name):
            continue
        absent = [path.name for path in (case.image, case.label) if not path.exists()]
        if absent:
            problems[case.name] = DataError(
                f"Case {case.name} of site {site.name}: {absent[0]} does not exist.",
                "Restore the file, or name the case in exclude.",
            )
        else:
            cases.append(_with_options(site, case))
    return replace(found, cases=tuple(cases), problems=problems)


def _with_options(site: SiteConfig, case: CaseFiles) -> CaseFiles:
    return replace(
        case,
        patient=case.patient or _patient(site, case.name),
        # In nnU-Net's layout every channel is a file; the right one was chosen by name.
        channel=None if site.dataset == "nnunet" else site.channel,
        resample_label=bool(site.resample_labels),
    )


def _patient(site: SiteConfig, name: str) -> str:
    if site.patient is None:
        return ""
    match = re.search(site.patient, name)
    if match is None:
        raise DataError(
            f"The pattern patient = {site.patient!r} does not match the case {name}.",
            "It must match the name of every case.",
        )
    return match[1] if match.groups() else match[0]


def _is_wanted(site: SiteConfig, name: str) -> bool:
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in site.exclude):
        return False
    return not site.cases or any(fnmatch.fnmatchcase(name, pattern) for pattern in site.cases)
