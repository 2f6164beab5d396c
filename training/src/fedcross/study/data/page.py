"""The result of a check of the data as files: JSON for programs and a self-contained HTML page."""

import importlib.util
import json
from html import escape
from pathlib import Path

from fedcross.errors import OutputError
from fedcross.runtime.atomic import write_atomically
from fedcross.study.page import figure, note, page, table
from fedcross.train.data.check.overview import (
    HEADING,
    LEGEND,
    format_errors,
    format_number,
    overview,
)
from fedcross.train.data.check.report import CaseReport, DataReport, SiteReport

RECORD, PAGE = "data.json", "data.html"
CASE_HEADING = (
    "case",
    "part",
    "voxels",
    "spacing, mm",
    "label values",
    "volumes, mL",
    "errors and remarks",
)


def write_report(report: DataReport, out: Path) -> Path:
    """Write ``data.json`` and ``data.html``; return the page's path.

    Parameters
    ----------
    report
        The result of the check.
    out
        Folder; created if it does not exist. Files of the same names are replaced.

    Raises
    ------
    OutputError
        If the folder cannot be created.
    CheckpointError
        If a file cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {out.name} cannot be made: {error.strerror}.") from error
    record = json.dumps(report.record(), indent=2).encode("utf-8") + b"\n"
    write_atomically(out / RECORD, record)
    write_atomically(out / PAGE, data_page(report).encode("utf-8"))
    return out / PAGE


def data_page(report: DataReport) -> str:
    """The page as HTML: errors, an overview of the sites, remarks, and a section for every site."""
    problems, remarks = report.problems(), report.remarks()
    lead = (
        f"{len(report.sites)} sites, {sum(len(site.cases) for site in report.sites)} cases. "
        + (f"{format_errors(len(problems))}." if problems else "No errors.")
        + " The slices show patients: protect this page like the data."
    )
    sections = {"Errors": [_html_list(problems)]} if problems else {}
    sections["Sites"] = [table(HEADING, overview(report)), note(LEGEND)]
    if remarks:
        sections["Remarks"] = [_html_list(remarks)]
    for site in report.sites:
        shown = figure(_svg(site, report), f"Slices of {site.name} and its intensities")
        rows = table(CASE_HEADING, [_row(case) for case in site.cases])
        cases = f"<details><summary>{len(site.cases)} cases</summary>{rows}</details>"
        sections[f"Site {site.name}"] = [shown, cases]
    return page("The federation's data", lead, sections)


def _html_list(sentences: list[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in sentences)}</ul>"


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
