"""Overview of a federation's data: one row of texts per site."""

from collections.abc import Iterable, Sequence
from statistics import median

from fedcross.training.data.check.report import PERCENTILES, DataReport, SiteReport
from fedcross.training.data.splits import PARTS

HEADING = (
    "site",
    "cases",
    "split",
    "voxels",
    "spacing, mm",
    "intensity",
    "label values",
    "volume, mL",
    "errors",
)
LEGEND = (
    "Split: numbers of training, validation and test cases. Voxels, spacing and volumes: smallest to "
    "largest. Intensity: medians over the cases of the percentiles 1, 50 and 99."
)
SHOWN_PERCENTILES = (1, 50, 99)
SHOWN_VALUES = 10


def overview(report: DataReport) -> list[tuple[str, ...]]:
    """One row with the columns `HEADING` per site; unknown columns are empty if no image is readable."""
    return [_row(site, report.structures) for site in report.sites]


def format_number(value: float) -> str:
    """Format a number with four significant digits, without an exponent below a million."""
    return f"{float(f'{value:.4g}'):g}"


def _row(site: SiteReport, structures: Sequence[str]) -> tuple[str, ...]:
    errors = sum(1 for _ in site.problems())
    split = "/".join(str(site.count(part)) for part in PARTS)
    head, tail = (site.name, str(len(site.cases)), split), str(errors) if errors else "none"
    good = site.readable
    if not good:
        return (*head, "", "", "", "", "", tail)
    return (
        *head,
        " x ".join(_range(sides) for sides in zip(*(c.size for c in good if c.size), strict=True)),
        " x ".join(
            _range(steps)
            for steps in zip(*(c.spacing_mm for c in good if c.spacing_mm), strict=True)
        ),
        ", ".join(
            format_number(median(case.percentiles[PERCENTILES.index(q)] for case in good))
            for q in SHOWN_PERCENTILES
        ),
        _list_values(sorted({value for case in good for value in case.values})),
        "; ".join(_volumes(site, name) for name in structures),
        tail,
    )


def _volumes(site: SiteReport, structure: str) -> str:
    """The volumes of a structure; "unknown" if no label map of the site could be used."""
    each = [case.volumes_ml[structure] for case in site.cases if structure in case.volumes_ml]
    if each:
        return f"{structure} {_range(each)}"
    return f"{structure} {'not drawn' if site.drawn else 'unknown'}"


def _list_values(values: Sequence[float]) -> str:
    """The first `SHOWN_VALUES` values, separated by commas."""
    shown = ", ".join(format_number(value) for value in values[:SHOWN_VALUES])
    return f"{shown} ..." if len(values) > SHOWN_VALUES else shown


def _range(values: Iterable[float]) -> str:
    """The smallest and the largest value as "low..high", or one number if they are equal."""
    each = list(values)
    low, high = format_number(min(each)), format_number(max(each))
    return low if low == high else f"{low}..{high}"
