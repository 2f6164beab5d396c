"""A calibration in words, for the model card and ``fedcross bundle show``."""

from fedcross.contract.figures import is_too_wide
from fedcross.contract.plain_text import counted
from fedcross.model.calibration import (
    Calibration,
    Contour,
    StructureCalibration,
    VolumeQuantiles,
)

ENOUGH_SITES = 9
"""A new site is beyond S others with a probability of 1 / (S + 1), one in ten with this number."""

_POOLINGS = {
    "pooled": "for the cases of all sites together",
    "per-site": "for each of these sites",
    "shrunk": "for nine of ten sites, also new ones",
}


def describe_calibration(calibration: Calibration) -> list[tuple[str, str]]:
    """Return pairs of a name and a sentence; empty for a bundle that is not calibrated.

    Parameters
    ----------
    calibration
        Of a checked manifest.
    """
    if not calibration.structures:
        return []
    holds = _POOLINGS.get(calibration.pooling or "", "for cases like these")
    if calibration.sites == 1:
        holds = "for cases like those of this one site"
    elif calibration.pooling == "shrunk" and calibration.sites < ENOUGH_SITES:
        holds = "for these sites; there are too few sites to promise it for a new one"
    cases, sites = counted(calibration.cases, "case"), counted(calibration.sites, "site")
    return [
        ("Calibration", f"{cases} of {sites}; holds {holds}"),
        ("Temperature", f"{calibration.temperature:g}"),
        *((each.name, describe_structure(each)) for each in calibration.structures),
    ]


def describe_structure(structure: StructureCalibration) -> str:
    """Return what is calibrated of a structure, in one line."""
    parts = []
    if structure.predicted_dice is not None:
        line = structure.predicted_dice
        parts.append(
            f"Dice = {line.intercept:.2f} + {line.slope:.2f} x agreement, error {line.error:.2f}"
        )
    if structure.volume is not None:
        parts.append(_describe_interval(structure.volume))
    parts += [_describe_contour(contour) for contour in structure.contours]
    return "; ".join(parts) or "too few cases"


def describe_wide_intervals(calibration: Calibration) -> list[str]:
    """Return a sentence for each structure whose interval is mostly too wide to be useful."""
    return [
        f"{each.name}: the volume interval is too wide to be useful in half of the cases or more "
        f"({low:.2g} to {high:.3g} times the volume). Train longer, or calibrate with more cases."
        for each in calibration.structures
        if each.volume is not None and each.volume.typical is not None
        for low, high in [each.volume.typical]
        if is_too_wide(low, high)
    ]


def _describe_interval(volume: VolumeQuantiles) -> str:
    text = f"volume interval {100 * volume.coverage:.0f} %"
    if volume.typical is None:
        return text
    low, high = volume.typical
    wide = ", too wide to be useful" if is_too_wide(low, high) else ""
    return f"{text}: {low:.2g} to {high:.3g} times the volume in the median case{wide}"


def _describe_contour(contour: Contour) -> str:
    sides = {"inner": contour.inner, "outer": contour.outer}
    margins = [f"{name} {margin:.1f} mm" for name, margin in sides.items() if margin is not None]
    return f"contours {100 * contour.alpha:.0f} %: {', '.join(margins)}"
