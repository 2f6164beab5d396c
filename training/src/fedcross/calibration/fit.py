"""From the curves of the sites to the calibration of a bundle."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from fedcross.calibration.curves import LikelihoodCurve, LossCurve, SiteCurves, StructureCurves
from fedcross.contract.plain_text import counted
from fedcross.model.calibration import (
    Calibration,
    Contour,
    PredictedDiceLine,
    StructureCalibration,
    VolumeQuantiles,
)
from fedcross.uncertainty.contours import MARGINS_MM
from fedcross.uncertainty.predicted_dice import FEWEST_CASES, fit_line
from fedcross.uncertainty.risk_control import (
    Pooling,
    RiskCurves,
    fewest_cases,
    risk_bound,
    smallest_index,
)
from fedcross.uncertainty.temperature import choose_temperature
from fedcross.uncertainty.volume_interval import COVERAGE, choose_quantiles, median_width

ALPHAS: Final = (0.05, 0.1)
"""The promises of the contours."""


def fit_temperature(sites: Sequence[LikelihoodCurve], otherwise: float) -> float:
    """Return the temperature with the smallest likelihood over all cases.

    Parameters
    ----------
    sites
        Curves of the sites.
    otherwise
        What is returned if no site has a case.
    """
    used = [site for site in sites if site.cases]
    return choose_temperature(np.sum([site.sums for site in used], axis=0)) if used else otherwise


def fit_calibration(
    sites: Sequence[SiteCurves], structures: Sequence[str], pooling: Pooling
) -> Calibration:
    """Return the calibration that follows from the curves of the sites.

    Parameters
    ----------
    sites
        At least one; all were computed with the same temperature.
    structures
        Names of the bundle's structures.
    pooling
        How the sites' curves are combined, see `fedcross.uncertainty.risk_control`.

    Raises
    ------
    ValueError
        If the temperatures differ.
    """
    temperatures = {site.temperature for site in sites}
    if len(temperatures) != 1:
        raise ValueError(f"all curves must have one temperature, got {sorted(temperatures)}.")
    fitted = []
    for name in structures:
        curves = [each for each in (site.of(name) for site in sites) if each and each.cases]
        if curves:
            fitted.append(_fit_structure(name, curves, pooling))
    return Calibration(
        temperature=temperatures.pop(),
        cases=sum(site.cases for site in sites),
        sites=sum(site.cases > 0 for site in sites),
        pooling=pooling,
        structures=tuple(fitted),
    )


def _fit_structure(
    name: str, sites: Sequence[StructureCurves], pooling: Pooling
) -> StructureCalibration:
    line = fit_line(np.sum([site.dice for site in sites], axis=0))
    quantiles = choose_quantiles([site.volume_counts for site in sites], pooling)
    width = median_width(np.sum([site.volume_widths for site in sites], axis=0))
    contours = (_fit_contour(sites, alpha, pooling) for alpha in ALPHAS)
    return StructureCalibration(
        name=name,
        cases=sum(site.cases for site in sites),
        sites=len(sites),
        predicted_dice=line
        and PredictedDiceLine(intercept=line.intercept, slope=line.slope, error=line.error),
        volume=quantiles
        and VolumeQuantiles(
            coverage=COVERAGE, below=quantiles[0], above=quantiles[1], median_width=width
        ),
        contours=tuple(
            each for each in contours if each.inner is not None or each.outer is not None
        ),
    )


def _fit_contour(sites: Sequence[StructureCurves], alpha: float, pooling: Pooling) -> Contour:
    cases = [site.cases for site in sites]
    return Contour(
        alpha=alpha,
        inner=_margin(cases, [site.inner for site in sites], alpha, pooling),
        outer=_margin(cases, [site.outer for site in sites], alpha, pooling),
    )


def _margin(
    cases: Sequence[int], curves: Sequence[LossCurve], alpha: float, pooling: Pooling
) -> float | None:
    """Return the smallest margin in mm that keeps the promise; None if there is none."""
    risks = RiskCurves(
        np.array(cases, np.float64),
        np.array([curve.sums for curve in curves]),
        np.array([curve.squares for curve in curves]),
    )
    index = int(smallest_index(risk_bound(risks, pooling), alpha))
    return None if index < 0 else MARGINS_MM[index]


def describe_gaps(calibration: Calibration) -> list[str]:
    """Return a sentence for each structure that has not everything, with what is missing and why."""
    sentences = []
    for each in calibration.structures:
        missing = [f"{what} ({reason})" for what, reason in _missing(each)]
        if missing:
            sentences.append(
                f"{each.name}, {counted(each.cases, 'case')} of {counted(each.sites, 'site')}: no "
                f"{', no '.join(missing)}."
            )
    return sentences


def _missing(structure: StructureCalibration) -> Iterator[tuple[str, str]]:
    """Yield what a structure lacks, and why."""

    def reason(needed: int, otherwise: str = "none keeps the promise at these sites") -> str:
        return f"needs {needed} cases" if structure.cases < needed else otherwise

    if structure.predicted_dice is None:
        agreement = f"needs {FEWEST_CASES} cases with an agreement of two members or more"
        yield "predicted Dice", reason(FEWEST_CASES, agreement)
    if structure.volume is None:
        yield "volume interval", reason(fewest_cases(1 - COVERAGE))
    stored = {contour.alpha: contour for contour in structure.contours}
    for alpha in ALPHAS:
        found = stored.get(alpha, Contour(alpha=alpha))
        for side, margin in (("inner", found.inner), ("outer", found.outer)):
            if margin is None:
                yield f"{side} contour at {100 * alpha:.0f} %", reason(fewest_cases(alpha))
