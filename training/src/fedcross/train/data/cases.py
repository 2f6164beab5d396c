"""Which cases a site has and how they are split: files found and paired, no image read."""

import fnmatch
import re
from dataclasses import dataclass, replace
from pathlib import Path

from fedcross.errors import DataError
from fedcross.train.config.site import ExplicitSplit, SiteConfig
from fedcross.train.data.sources.datasets import DATASETS
from fedcross.train.data.sources.layouts import FoundFiles, find_pairs
from fedcross.train.data.sources.lists import read_list
from fedcross.train.data.splits import PARTS, SiteCases, split_by_count, split_by_name
from fedcross.train.data.volumes import CaseFiles


@dataclass(frozen=True)
class Gathered:
    """A site's cases before they are split.

    Attributes
    ----------
    cases
        Those that can be used as far as their files' names tell.
    problems
        What is wrong with the others, by name.
    parts
        Where a list puts them, by name.
    notes
        What is worth knowing about the data set.
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
        Its configuration.
    data_root
        Folder that its paths are relative to.
    seed
        Of the run; with the site's name it decides the split.

    Raises
    ------
    DataError
        If a folder is missing, empty or of another layout, an image has no label or a label no
        image, a name occurs twice, a named case is not there, there are fewer cases than the split
        needs, or the split tears a patient's scans apart.
    """
    gathered = gather(site, data_root)
    if gathered.problems:
        first, *others = gathered.problems.values()
        more = f"{len(others)} more are wrong; fedcross data check names them." if others else ""
        raise DataError(first.message, f"{first.hint} {more}".strip())
    return split(site, gathered, seed)


def gather(site: SiteConfig, data_root: Path) -> Gathered:
    """Find a site's cases; mistakes of single cases are told, not raised.

    Raises
    ------
    DataError
        If there is nothing that could be told case by case.
    """
    try:
        if site.list is not None:
            return _finished(site, _listed(data_root / site.list))
        if site.dataset is not None:
            found = DATASETS[site.dataset].find(data_root / str(site.root), site.channel)
        else:
            found = find_pairs(data_root, str(site.images), str(site.labels))
        return _finished(site, _paired(site, found))
    except DataError as error:
        raise DataError(f"Site {site.name}: {error.message}", error.hint) from error
    except OSError as error:
        place = Path(str(error.filename)).name
        raise DataError(
            f"Site {site.name}: {place} cannot be read: {error.strerror}.",
            "Check that the drive is there and that you may read it.",
        ) from error


def split(site: SiteConfig, gathered: Gathered, seed: int) -> SiteCases:
    """Split a site's cases as its configuration, or else its list, says.

    Raises
    ------
    DataError
        If that cannot be done with these cases.
    """
    cases, notes = gathered.cases, gathered.notes
    if isinstance(site.split, ExplicitSplit):
        return split_by_name(site.name, cases, site.split.model_dump(), notes)
    if site.split is not None:
        return split_by_count(site.name, cases, site.split, seed, notes)
    if not gathered.parts:
        raise DataError(
            f"The list of site {site.name} has no split column and the site no split.",
            "Add one of them.",
        )
    here = {case.name for case in cases}
    names = {
        part: [name for name, its in gathered.parts.items() if its == part and name in here]
        for part in PARTS
    }
    return split_by_name(site.name, cases, names, notes)


def _listed(path: Path) -> Gathered:
    listed = read_list(path)
    return Gathered(
        tuple(CaseFiles(case.name, case.image, case.label, case.patient) for case in listed),
        {},
        {case.name: case.part for case in listed if case.part},
    )


def _paired(site: SiteConfig, found: FoundFiles) -> Gathered:
    cases, problems = [], dict(found.problems)
    for name in sorted({*found.images, *found.labels} - problems.keys()):
        if name in found.images and name in found.labels:
            cases.append(CaseFiles(name, found.images[name], found.labels[name]))
        else:
            half = "an image but no label" if name in found.images else "a label but no image"
            problems[name] = DataError(
                f"Case {name} of site {site.name} has {half}.",
                "Add it, or name the case in exclude.",
            )
    return Gathered(tuple(cases), problems, {}, found.notes)


def _finished(site: SiteConfig, gathered: Gathered) -> Gathered:
    """Only the cases that the configuration wants, with all that it says about each."""
    known = [*(case.name for case in gathered.cases), *gathered.problems]
    for pattern in (*site.cases, *site.exclude):
        if not any(fnmatch.fnmatchcase(name, pattern) for name in known):
            raise DataError(f"There is no case {pattern}.", "Check cases and exclude.")
    problems = {name: e for name, e in gathered.problems.items() if _is_wanted(site, name)}
    cases = []
    for case in gathered.cases:
        if not _is_wanted(site, case.name):
            continue
        absent = [path.name for path in (case.image, case.label) if not path.exists()]
        if absent:
            problems[case.name] = DataError(
                f"Case {case.name} of site {site.name}: there is no {absent[0]}.",
                "Bring it back, or name the case in exclude.",
            )
        else:
            cases.append(_with_options(site, case))
    return replace(gathered, cases=tuple(cases), problems=problems)


def _with_options(site: SiteConfig, case: CaseFiles) -> CaseFiles:
    return replace(
        case,
        patient=case.patient or _patient(site, case.name),
        # nnU-Net's channels are files of their own, found already
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
            "It has to find the patient in every case's name.",
        )
    return match[1] if match.groups() else match[0]


def _is_wanted(site: SiteConfig, name: str) -> bool:
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in site.exclude):
        return False
    return not site.cases or any(fnmatch.fnmatchcase(name, pattern) for pattern in site.cases)
