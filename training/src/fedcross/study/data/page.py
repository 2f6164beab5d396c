"""A check of the data for people: two files in a folder, of which one is a page that stands alone."""

import importlib.util
import json
from html import escape
from pathlib import Path

from fedcross.runtime.atomic import make_folder, write_atomically
from fedcross.study.page import figure, note, page, table
from fedcross.train.data.check.overview import HEADING, LEGEND, mistakes, overview, plain
from fedcross.train.data.check.report import CaseReport, DataReport, SiteReport

RECORD, PAGE = "data.json", "data.html"
CASE_HEADING = (
    "case",
    "part",
    "voxels",
    "spacing, mm",
    "label values",
    "volumes, mL",
    "wrong or odd",
)


def write_report(report: DataReport, out: Path) -> Path:
    """Write ``data.json`` and ``data.html``; return the page's path.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    make_folder(out)
    record = json.dumps(report.record(), indent=2).encode("utf-8") + b"\n"
    write_atomically(out / RECORD, record, durable=True)
    write_atomically(out / PAGE, data_page(report).encode("utf-8"), durable=True)
    return out / PAGE


def data_page(report: DataReport) -> str:
    """What is wrong, the sites side by side, what is odd, and every site by itself, as HTML."""
    problems, remarks = report.problems(), report.remarks()
    lead = (
        f"{len(report.sites)} sites, {sum(len(site.cases) for site in report.sites)} cases. "
        + (f"{mistakes(len(problems))}." if problems else "Nothing is wrong.")
        + " The slices come from patients: treat this page as you treat the data."
    )
    sections = {"Wrong": [_listed(problems)]} if problems else {}
    sections["Sites"] = [table(HEADING, overview(report)), note(LEGEND)]
    if remarks:
        sections["Worth a look"] = [_listed(remarks)]
    for site in report.sites:
        shown = figure(_svg(site, report), f"Slices of {site.name} and its intensities")
        rows = table(CASE_HEADING, [_row(case) for case in site.cases])
        cases = f"<details><summary>{len(site.cases)} cases</summary>{rows}</details>"
        sections[f"Site {site.name}"] = [shown, cases]
    return page("The federation's data", lead, sections)


def _listed(sentences: list[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in sentences)}</ul>"


def _row(case: CaseReport) -> tuple[str, ...]:
    return (
        case.name,
        case.part,
        " x ".join(str(side) for side in case.size or ()),
        " x ".join(plain(step) for step in case.spacing_mm or ()),
        ", ".join(plain(value) for value in case.values),
        "; ".join(f"{name} {plain(volume)}" for name, volume in case.volumes_ml.items()),
        " ".join((*filter(None, [case.problem]), *case.remarks)),
    )


def _svg(site: SiteReport, report: DataReport) -> str | None:
    """The site's figure; None if nothing of it can be shown, or matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None or not site.readable:
        return None
    from fedcross.study.data.figure import site_figure

    others = [other for other in report.sites if other is not site]
    return site_figure(site, others, report.structures)
