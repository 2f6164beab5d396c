"""The result of a check of the data as files: JSON for programs and a self-contained HTML page."""

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path

from fedcross.contract.plain_text import counted
from fedcross.runtime.files.atomic import write_atomically
from fedcross.runtime.files.folders import make_folder
from fedcross.study.page import figure, note, page, safe_text, table
from fedcross.training.data.check.overview import (
    HEADING,
    LEGEND,
    format_number,
    overview,
)
from fedcross.training.data.check.patches import SitePatches
from fedcross.training.data.check.report import CaseReport, DataReport, SiteReport

RECORD, PAGE = "data.json", "data.html"
PATCHES = "Training patches of every site"
PATCHES_NOTE = (
    "Middle slices of patches as they enter the network, after the random changes that [augmentation] "
    "describes. Each row shows patches of one training case of a site."
)
CASE_HEADING = (
    "case",
    "part",
    "voxels",
    "spacing, mm",
    "label values",
    "volumes, mL",
    "errors and remarks",
)

NO_SLICES = "No slices are shown, because no label map of this site could be used; see the errors."
SLICES_NOTE = (
    "Below, each site shows the middle slice of the drawn structures in some cases, with outlines. "
    "The curve is the distribution of the normalised intensities over the cases of the site; grey: over "
    "those of the other sites."
)
SITE_WORDS = tuple(range(len(HEADING)))
CASE_WORDS = tuple(range(len(CASE_HEADING)))


def write_report(report: DataReport, out: Path, patches: Sequence[SitePatches] = ()) -> Path:
    """Write ``data.json`` and ``data.html``; return the page's path.

    Parameters
    ----------
    report
        The result of the check.
    out
        Folder; created if it does not exist. Files of the same names are replaced.
    patches
        Training patches to show on the page; empty for none.

    Raises
    ------
    OutputError
        If the folder cannot be created or a file cannot be written.
    """
    record = json.dumps(report.record(), indent=2).encode("utf-8") + b"\n"
    html = data_page(report, patches).encode("utf-8")
    make_folder(out)
    write_atomically(out / RECORD, record, durable=True)
    write_atomically(out / PAGE, html, durable=True)
    return out / PAGE


def data_page(report: DataReport, patches: Sequence[SitePatches] = ()) -> str:
    """The page as HTML: errors, overview, remarks, a section for every site, and the patches."""
    problems, remarks = report.problems(), report.remarks()
    lead = (
        f"{len(report.sites)} sites, {sum(len(site.cases) for site in report.sites)} cases. "
        + (f"{counted(len(problems), 'error')}." if problems else "No errors.")
        + " The slices show patients: protect this page like the data."
    )
    sections = {"Errors": [_html_list(problems)]} if problems else {}
    sections["Sites"] = [table(HEADING, overview(report), words=SITE_WORDS), note(LEGEND)]
    if remarks:
        sections["Remarks"] = [_html_list(remarks)]
    for site in report.sites:
        svg = _svg(site, report)
        if svg is not None and len(sections["Sites"]) == 2:
            sections["Sites"].append(note(SLICES_NOTE))
        shown = [figure(svg, f"Slices of {site.name} and its intensities")]
        if site.readable and not site.drawn:
            shown.append(note(NO_SLICES))
        rows = table(CASE_HEADING, [_row(case) for case in site.cases], words=CASE_WORDS)
        cases = f"<details><summary>{len(site.cases)} cases</summary>{rows}</details>"
        sections[f"Site {site.name}"] = [*shown, cases]
    if patches:
        sections["Training patches"] = [figure(_patches_svg(patches), PATCHES), note(PATCHES_NOTE)]
    return page("The federation's data", lead, sections)


def _patches_svg(patches: Sequence[SitePatches]) -> str | None:
    """The figure of the patches; None if matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        return None
    from fedcross.study.data.figure import patches_figure

    return patches_figure(patches)


def _html_list(sentences: list[str]) -> str:
    return f"<ul>{''.join(f'<li>{safe_text(sentence)}</li>' for sentence in sentences)}</ul>"


def _row(case: CaseReport) -> tuple[str, ...]:
    return (
        case.name,
        case.part,
        " x ".join(str(side) for side in case.size or ()),
        " x ".join(format_number(step) for step in case.spacing_mm or ()),
        ", ".join(format_number(value) for value in case.values),
        "; ".join(f"{name} {format_number(volume)}" for name, volume in case.volumes_ml.items()),
        " ".join((*filter(None, [case.problem]), *case.remarks)),
    )


def _svg(site: SiteReport, report: DataReport) -> str | None:
    """The site's figure; None if no image is readable or matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None or not site.readable:
        return None
    from fedcross.study.data.figure import site_figure

    others = [other for other in report.sites if other is not site]
    return site_figure(site, others, report.structures)
