"""Check every case of a federation before the training; an error does not stop the check."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median

from fedcross.errors import DataError
from fedcross.runtime.reporting import NullReporter, Reporter
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.site import SiteConfig
from fedcross.training.data.cases import FoundCases, gather_cases, split_cases
from fedcross.training.data.check.case import check_case
from fedcross.training.data.check.overview import format_number
from fedcross.training.data.check.report import (
    PICTURES,
    CaseReport,
    DataReport,
    Duplicate,
    SiteReport,
)
from fedcross.training.run.doubts import doubt_patch, doubt_spacing
from fedcross.volumes.preprocessing import Preprocessing
from fedcross.volumes.structure import Structure

UNUSUAL = 4.0  # a volume is unusual from this factor above or below the federation's median


def check_data(
    config: TrainingConfig, reporter: Reporter | None = None, *, has_grid: bool = True
) -> DataReport:
    """Read every case of every site, including the cases that no part of a split uses.

    Parameters
    ----------
    config
        The federation's configuration.
    reporter
        Receives the number of cases read, in the stage "check". None reports nothing.
    has_grid
        Whether spacing and patch size were chosen; they are compared with the volumes.

    Returns
    -------
    DataReport
        Figures, errors and remarks of every site and case.
    """
    reporter = reporter or NullReporter()
    all_found = [_find(site, config) for site in config.sites]
    total = sum(len(found.cases) for found, _, _ in all_found)
    done = 0
    sites = []
    for site, (found, parts, problem) in zip(config.sites, all_found, strict=True):
        cases: list[CaseReport] = []
        for case in found.cases:
            report = check_case(case, site, config, wants_picture=_wants_picture(cases))
            cases.append(replace(report, part=parts.get(case.name, "")))
            done += 1
            reporter.progress(done, total, "check")
        cases += [CaseReport(name, problem=str(e)) for name, e in found.problems.items()]
        remarks = (
            *_undrawn_structures(site, cases, config.structures),
            *(_doubts_about_grid(cases, config.preprocessing) if has_grid else ()),
        )
        sites.append(SiteReport(site.name, tuple(cases), found.notes, remarks, problem))
    return DataReport(
        _mark_unusual_volumes(sites),
        tuple(structure.name for structure in config.structures),
        (*_find_duplicates(sites), *_find_same_labels(sites)),
    )


def _wants_picture(cases: Sequence[CaseReport]) -> bool:
    """Whether a site has fewer than `PICTURES` pictures so far."""
    return sum(case.picture is not None for case in cases) < PICTURES


def _find(
    site: SiteConfig, config: TrainingConfig
) -> tuple[FoundCases, dict[str, str], str | None]:
    """Find (cases, each case's part by name, error of the site as a whole or None)."""
    try:
        found = gather_cases(site, config.data_root, config.preprocessing.channel_names)
    except DataError as error:
        return FoundCases((), {}, {}), {}, str(error)
    try:
        cases = split_cases(site, found, config.seed)
    except DataError as error:
        # With incomplete cases, which are reported themselves, too few cases may be left.
        return found, {}, None if found.problems else str(error)
    return found, {case.name: part for part, group in cases.parts() for case in group}, None


def _undrawn_structures(
    site: SiteConfig, cases: Sequence[CaseReport], structures: Sequence[Structure]
) -> tuple[str, ...]:
    """One remark for every structure that is in no label and not in `labels_missing`."""
    checked = [case for case in cases if case.volumes_ml]
    if not checked:
        return ()
    return tuple(
        f"{structure.name} is in none of the site's labels; if it was not drawn there, name it in "
        "labels_missing."
        for structure in structures
        if structure.name not in site.labels_missing
        and not any(case.volumes_ml[structure.name] for case in checked)
    )


def _doubts_about_grid(cases: Sequence[CaseReport], preprocessing: Preprocessing) -> Iterator[str]:
    """Yield what looks wrong in spacing and patch size beside the site's volumes."""
    figures = [case.figures for case in cases if case.figures is not None]
    spacing = preprocessing.spacing_mm
    order = doubt_spacing((each.spacing_mm for each in figures), spacing)
    sizes = [
        tuple(
            n * own / new for n, own, new in zip(each.size, each.spacing_mm, spacing, strict=True)
        )
        for each in figures
    ]
    patch = doubt_patch(((x, y, z) for x, y, z in sizes), preprocessing.patch_size)
    yield from filter(None, (order, patch))


def _mark_unusual_volumes(sites: Sequence[SiteReport]) -> tuple[SiteReport, ...]:
    """Add a remark to cases whose volumes are far from the federation's median.

    The cause may be a wrong spacing or a wrong label.
    """
    volumes_of: dict[str, list[float]] = {}
    for case in (case for site in sites for case in site.cases):
        for name, volume in case.volumes_ml.items():
            if volume > 0:
                volumes_of.setdefault(name, []).append(volume)
    medians = {name: median(volumes) for name, volumes in volumes_of.items()}
    return tuple(
        replace(site, cases=tuple(_mark_unusual(case, medians) for case in site.cases))
        for site in sites
    )


def _mark_unusual(case: CaseReport, medians: Mapping[str, float]) -> CaseReport:
    unusual = tuple(
        f"{name} has {format_number(volume)} mL; the median of all cases is "
        f"{format_number(medians[name])} mL."
        for name, volume in case.volumes_ml.items()
        if volume > 0 and not 1 / UNUSUAL < volume / medians[name] < UNUSUAL
    )
    return replace(case, remarks=(*case.remarks, *unusual))


def _find_duplicates(sites: Sequence[SiteReport]) -> tuple[Duplicate, ...]:
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for site in sites:
        for case in site.cases:
            if case.sha256 is not None:
                groups.setdefault(case.sha256, []).append((site.name, case.name, case.part))
    return tuple(Duplicate(tuple(group)) for group in groups.values() if len(group) > 1)


def _find_same_labels(sites: Sequence[SiteReport]) -> tuple[Duplicate, ...]:
    """Find images that differ and have one label: a wrong line in a list, or scans of one patient."""
    groups: dict[str, list[tuple[SiteReport, CaseReport]]] = {}
    for site in sites:
        for case in site.cases:
            if case.label_sha256 is not None:
                groups.setdefault(case.label_sha256, []).append((site, case))
    return tuple(
        Duplicate(tuple((site.name, case.name, case.part) for site, case in group), "label")
        for group in groups.values()
        if len({case.sha256 for _, case in group}) > 1
    )
