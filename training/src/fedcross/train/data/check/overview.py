"""A federation's data at a glance: a row of texts for every site."""

from collections.abc import Iterable, Sequence
from statistics import median

from fedcross.train.data.check.report import PERCENTILES, DataReport, SiteReport
from fedcross.train.data.splits import PARTS

HEADING = (
    "site",
    "cases",
    "split",
    "voxels",
    "spacing, mm",
    "intensity",
    "label values",
    "volume, mL",
    "wrong",
)
LEGEND = (
    "Split: cases to train, validate and test. Voxels, spacing and volumes: smallest to largest. "
    "Intensity: medians over the cases of the percentiles 1, 50 and 99."
)
SHOWN_PERCENTILES = (1, 50, 99)
SHOWN_VALUES = 10


def overview(report: DataReport) -> list[tuple[str, ...]]:
    """A row of `HEADING` for every site; empty where nothing could be read."""
    return [_row(site, report.structures) for site in report.sites]


def plain(value: float) -> str:
    """Four significant digits, without an exponent below a million."""
    return f"{float(f'{value:.4g}'):g}"


def mistakes(count: int) -> str:
    """How many there are, in words."""
    return f"{count} mistake{'' if count == 1 else 's'}"


def _row(site: SiteReport, structures: Sequence[str]) -> tuple[str, ...]:
    wrong = sum(1 for _ in site.problems())
    split = "/".join(str(site.count(part)) for part in PARTS)
    head, tail = (site.name, str(len(site.cases)), split), str(wrong) if wrong else "none"
    good = site.readable
    if not good:
        return (*head, "", "", "", "", "", tail)
    return (
        *head,
        " x ".join(_span(sides) for sides in zip(*(c.size for c in good if c.size), strict=True)),
        " x ".join(
            _span(steps)
            for steps in zip(*(c.spacing_mm for c in good if c.spacing_mm), strict=True)
        ),
        ", ".join(
            plain(median(case.percentiles[PERCENTILES.index(q)] for case in good))
            for q in SHOWN_PERCENTILES
        ),
        _some(sorted({value for case in good for value in case.values})),
        "; ".join(_volumes(site, name) for name in structures),
        tail,
    )


def _volumes(site: SiteReport, structure: str) -> str:
    each = [case.volumes_ml[structure] for case in site.cases if structure in case.volumes_ml]
    return f"{structure} {_span(each)}" if each else f"{structure} not drawn"


def _some(values: Sequence[float]) -> str:
    """The first of them."""
    told = ", ".join(plain(value) for value in values[:SHOWN_VALUES])
    return f"{told} ..." if len(values) > SHOWN_VALUES else told


def _span(values: Iterable[float]) -> str:
    """The smallest and the largest, or the only value there is."""
    each = list(values)
    low, high = plain(min(each)), plain(max(each))
    return low if low == high else f"{low}..{high}"
