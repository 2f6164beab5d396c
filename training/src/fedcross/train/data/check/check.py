"""Look at every case of a federation before anybody trains on it.

Nothing stops at the first mistake: whatever is wrong is named, case by case, and the others are
looked at all the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median

from fedcross.errors import DataError
from fedcross.runtime.reporting import NullReporter, Reporter
from fedcross.train.config.configuration import TrainingConfig
from fedcross.train.config.site import SiteConfig
from fedcross.train.data.cases import Gathered, gather, split
from fedcross.train.data.check.case import check_case
from fedcross.train.data.check.overview import plain
from fedcross.train.data.check.report import PICTURES, CaseReport, DataReport, Duplicate, SiteReport
from fedcross.volumes.structure import Structure

UNUSUAL = 4.0  # times larger or smaller than the federation's median


def check_data(config: TrainingConfig, reporter: Reporter | None = None) -> DataReport:
    """Read every case of every site, those that no part uses too.

    Parameters
    ----------
    config
        The federation's configuration.
    reporter
        Hears of every case read.
    """
    hear = reporter or NullReporter()
    found = [_find(site, config) for site in config.sites]
    total = sum(len(gathered.cases) for gathered, _, _ in found)
    done = 0
    sites = []
    for site, (gathered, parts, problem) in zip(config.sites, found, strict=True):
        cases: list[CaseReport] = []
        for case in gathered.cases:
            report = check_case(case, site, config.structures, wants_picture=_wants_picture(cases))
            cases.append(replace(report, part=parts.get(case.name, "")))
            done += 1
            hear.progress(done, total, "check")
        cases += [CaseReport(name, problem=str(e)) for name, e in gathered.problems.items()]
        remarks = _never_drawn(site, cases, config.structures)
        sites.append(SiteReport(site.name, tuple(cases), gathered.notes, remarks, problem))
    return DataReport(
        _with_unusual_volumes(sites),
        tuple(structure.name for structure in config.structures),
        _duplicates(sites),
    )


def _wants_picture(cases: Sequence[CaseReport]) -> bool:
    """Whether a site has fewer pictures than it shows."""
    return sum(case.picture is not None for case in cases) < PICTURES


def _find(site: SiteConfig, config: TrainingConfig) -> tuple[Gathered, dict[str, str], str | None]:
    """The site's cases, their parts, and what is wrong with the site as a whole."""
    try:
        gathered = gather(site, config.data_root)
    except DataError as error:
        return Gathered((), {}, {}), {}, str(error)
    try:
        cases = split(site, gathered, config.seed)
    except DataError as error:
        # Half cases are named already; that there are too few without them is no news.
        return gathered, {}, None if gathered.problems else str(error)
    return gathered, {case.name: part for part, group in cases.parts() for case in group}, None


def _never_drawn(
    site: SiteConfig, cases: Sequence[CaseReport], structures: Sequence[Structure]
) -> tuple[str, ...]:
    checked = [case for case in cases if case.volumes_ml]
    if not checked:
        return ()
    return tuple(
        f"{structure.name} is in none of its labels; if nobody drew it here, name it in "
        "labels_missing."
        for structure in structures
        if structure.name not in site.labels_missing
        and not any(case.volumes_ml[structure.name] for case in checked)
    )


def _with_unusual_volumes(sites: Sequence[SiteReport]) -> tuple[SiteReport, ...]:
    """Tell volumes that are far from the federation's median: a wrong spacing, or a wrong label."""
    every: dict[str, list[float]] = {}
    for case in (case for site in sites for case in site.cases):
        for name, volume in case.volumes_ml.items():
            if volume > 0:
                every.setdefault(name, []).append(volume)
    usual = {name: median(volumes) for name, volumes in every.items()}
    return tuple(
        replace(site, cases=tuple(_told_if_unusual(case, usual) for case in site.cases))
        for site in sites
    )


def _told_if_unusual(case: CaseReport, usual: Mapping[str, float]) -> CaseReport:
    odd = tuple(
        f"{name} has {plain(volume)} mL, the median of all is {plain(usual[name])} mL."
        for name, volume in case.volumes_ml.items()
        if volume > 0 and not 1 / UNUSUAL < volume / usual[name] < UNUSUAL
    )
    return replace(case, remarks=(*case.remarks, *odd))


def _duplicates(sites: Sequence[SiteReport]) -> tuple[Duplicate, ...]:
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for site in sites:
        for case in site.cases:
            if case.sha256 is not None:
                groups.setdefault(case.sha256, []).append((site.name, case.name, case.part))
    return tuple(Duplicate(tuple(group)) for group in groups.values() if len(group) > 1)
