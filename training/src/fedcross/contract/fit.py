"""Reasons why volumes do not fit a bundle: voxel size, extent, intensities, modality.

The Slicer module says them before anything is computed; the command line says them while it segments.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

MAX_SPACING_RATIO = 4.0
"""Largest ratio between the volume's and the bundle's voxel size, in either direction."""
CT_AIR_HU = -500
"""A volume with a value this low is taken for CT: air in CT is about -1000 HU."""
MIN_PATCH_SHARE = 0.5
"""Smallest share of the bundle's patch that the volume must cover along each axis."""
MIN_PADDING_GAP = 0.2
"""Smallest gap above padding, as a share of the range of the other values."""
MAX_SHIFT = 0.1
"""Largest change of mean or deviation by padding, as a share of the deviation without it; also the
largest change of the deviation by outliers."""
OUTLIERS = 1e-5
"""Share of the voxels that may be outliers, such as defect pixels; at least one voxel."""
CLIPS_PADDING = ("ct",)
"""Kinds of intensity normalisation that clip to a fixed window, so that padding does no harm."""
CLIPS_OUTLIERS = ("ct", "percentile")
"""Kinds of intensity normalisation to which outliers do no harm."""

_SAMPLES = 2**20
Triple = Sequence[float]
Translate = Callable[[str], str]


@dataclass(frozen=True)
class Intensities:
    """The intensities of a volume in numbers.

    Attributes
    ----------
    low, high : float
        Smallest and largest value of the sampled voxels.
    padding : float or None
        The lowest value, if it is far from all others and changes their z-scores; else None.
    padding_share : float
        Share of the sampled voxels that have this value; 0 without padding.
    outlier : float or None
        The value farthest from the mean, if it and few others raise the deviation by more than
        `MAX_SHIFT`; else None.
    """

    low: float
    high: float
    padding: float | None = None
    padding_share: float = 0.0
    outlier: float | None = None


@dataclass(frozen=True)
class Wanted:
    """What a bundle was trained on.

    Attributes
    ----------
    spacing_mm, patch_size : tuple
        Voxel size and patch of the networks, (x, y, z); a spacing of 0 is unknown.
    """

    spacing_mm: Triple
    patch_size: Sequence[int]


def measure_intensities(voxels: Any) -> Intensities:
    """Measure the intensities of a volume.

    Parameters
    ----------
    voxels
        NumPy array (z, y, x) of finite real numbers, with at least one voxel. About a million voxels of
        it, evenly spaced, are read, and the smallest and the largest of all; all, if those million are
        equal, or if the smallest or the largest may be an outlier.
    """
    step = max(1, round((voxels.size / _SAMPLES) ** (1 / 3)))
    sample = voxels[::step, ::step, ::step].astype("float64")
    low, high = float(sample.min()), float(sample.max())
    outlier = _find_outlier(voxels, float(sample.mean()), float(sample.std()))
    if low == high:
        return Intensities(float(voxels.min()), float(voxels.max()), outlier=outlier)
    if outlier is not None:
        return Intensities(low, high, outlier=outlier)
    others = sample[sample > low]
    gap = float(others.min()) - low
    if low >= 0 or gap <= MIN_PADDING_GAP * (high - low - gap):
        return Intensities(low, high)
    deviation = float(others.std())
    shift = abs(float(sample.mean()) - float(others.mean()))
    spread = abs(float(sample.std()) - deviation)
    is_harmful = max(shift, spread) > MAX_SHIFT * deviation
    share = 1 - others.size / sample.size
    return Intensities(low, high, low, share) if is_harmful else Intensities(low, high)


def _find_outlier(voxels: Any, mean: float, deviation: float) -> float | None:
    """Return the value farthest from the mean if it and few others hold much of the variance.

    These few are the `OUTLIERS` voxels farthest from the mean. If they hold the share s of the sum of
    squares, they raise the deviation by the factor 1 / sqrt(1 - s).

    Parameters
    ----------
    voxels
        NumPy array (z, y, x).
    mean, deviation
        Of voxels that stand for all; the deviation may be 0.
    """
    ends = float(voxels.min()), float(voxels.max())
    farthest = max(ends, key=lambda value: abs(value - mean))
    distance = abs(farthest - mean)
    count = math.ceil(OUTLIERS * voxels.size)
    share = 1 - 1 / (1 + MAX_SHIFT) ** 2  # the largest s that is accepted
    if distance <= deviation * math.sqrt(share * voxels.size / count) or distance == 0:
        return None  # so many voxels with this value would hold no larger share
    squares, largest = 0.0, []
    for plane in voxels:
        shares = ((plane.astype("float64").ravel() - mean) / distance) ** 2
        squares += float(shares.sum())
        shares.sort()
        largest += shares[-count:].tolist()
    held = sum(sorted(largest)[-count:])
    return farthest if held > share * squares else None


def spacing_warnings(spacing_mm: Triple, wanted: Wanted, translate: Translate = str) -> list[str]:
    """Return why the voxel size does not fit; (x, y, z) in the order of the patient's axes."""
    ratios = [
        own / trained for own, trained in zip(spacing_mm, wanted.spacing_mm, strict=True) if trained
    ]
    if all(1 / MAX_SPACING_RATIO <= ratio <= MAX_SPACING_RATIO for ratio in ratios):
        return []
    sentence = translate(
        "The voxels measure {given} mm, but the bundle was trained at {wanted} mm."
    )
    return [sentence.format(given=_product(spacing_mm), wanted=_product(wanted.spacing_mm))]


def extent_warnings(
    size: Sequence[int], spacing_mm: Triple, wanted: Wanted, translate: Translate = str
) -> list[str]:
    """Return why the extent does not fit; (x, y, z) in the order of the patient's axes."""
    if min(size) == 1:
        return [translate("The volume is a single slice, but the bundle was trained on volumes.")]
    extent = [side * step for side, step in zip(size, spacing_mm, strict=True)]
    patch = [side * step for side, step in zip(wanted.patch_size, wanted.spacing_mm, strict=True)]
    if all(own >= MIN_PATCH_SHARE * side for own, side in zip(extent, patch, strict=True)):
        return []
    sentence = translate(
        "The volume covers {given} mm, but one patch of the networks covers {wanted} mm."
    )
    return [sentence.format(given=_product(extent), wanted=_product(patch))]


def intensity_warnings(
    found: Intensities,
    modality: str,
    wanted_modality: str,
    *,
    intensity: str,
    translate: Translate = str,
) -> list[str]:
    """Return why the intensities do not fit.

    Parameters
    ----------
    found
        The volume's intensities.
    modality
        The volume's DICOM modality; empty if unknown, then low values tell CT.
    wanted_modality
        That of the training images; empty if unknown.
    intensity
        Kind of the bundle's intensity normalisation, see
        `fedcross.volumes.preprocessing.Preprocessing.intensity`.
    translate
        Translates a sentence.
    """
    if found.low == found.high:
        sentence = translate("All voxels have the same value, {value:g}.")
        return [sentence.format(value=found.low)]
    warnings = []
    if found.outlier is not None and intensity not in CLIPS_OUTLIERS:
        sentence = translate(
            "The value {value:g} of a few voxels is far from all others, as of a defect pixel; it "
            "flattens the normalised intensities."
        )
        warnings.append(sentence.format(value=found.outlier))
    if found.padding is not None and intensity not in CLIPS_PADDING:
        sentence = translate(
            "The lowest value, {value:g}, is far from all others, as of voxels outside the scan; it "
            "shifts the normalised intensities."
        )
        warnings.append(sentence.format(value=found.padding))
    is_ct = found.low <= CT_AIR_HU and found.low not in (found.padding, found.outlier)
    given = modality or ("CT" if is_ct else "")
    if wanted_modality and given and given != wanted_modality:
        sentence = translate(
            "The volume looks like {given}, but the bundle was trained on {wanted}."
        )
        warnings.append(sentence.format(given=given, wanted=wanted_modality))
    return warnings


def same_volume_warning(first: str, second: str, translate: Translate = str) -> str:
    """Return the sentence on one volume for two channels, given their names."""
    sentence = translate("{first} and {second} are the same volume.")
    return sentence.format(first=first, second=second)


def _product(sides: Iterable[float]) -> str:
    return " x ".join(f"{side:.3g}" for side in sides)
