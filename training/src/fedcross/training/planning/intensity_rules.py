"""The rule for the intensity normalisation. It computes with numbers only."""

import math
from typing import Any

from fedcross.training.planning.figures import Intensities

CROPPED_SHARE = 0.75
SMALLEST_STD = 1e-3
LARGEST_PADDING = 0.5
HIGH_PERCENTILE = 99.5


def choose_intensity(
    modality: str, nonzero_box: float, padding: float, foreground: Intensities
) -> tuple[dict[str, Any], str]:
    """Choose the intensity normalisation.

    The rule is that of nnU-Net (Isensee et al., Nature Methods 2021), except for padding.

    CT has a fixed scale: it is clipped to percentiles 0.5 and 99.5 of the labelled voxels and
    standardised by their mean and standard deviation. Otherwise every volume is standardised by itself:
    by its non-zero voxels if their bounding box takes less than three quarters of the median volume,
    since then the background was set to 0; else by all voxels. nnU-Net crops the volume to that box as
    well; FedCross does not.

    Padding is one value far below all others. It would shift the mean and stretch the deviation. If a
    case has it, volumes are clipped to percentiles, the lower one above the share of the padding.

    Parameters
    ----------
    modality
        For example "CT"; empty if unknown.
    nonzero_box
        Median share of the volume that the bounding box of its non-zero voxels takes.
    padding
        Largest share of a volume that is padding; 0 for none.
    foreground
        Intensities of the labelled voxels.

    Returns
    -------
    settings : dict
        Keys of ``[preprocessing]`` with their values.
    reason : str
        Why, in one phrase.
    """
    if modality.upper() == "CT":
        if foreground.low < foreground.high:
            return (
                {
                    "intensity": "ct",
                    "window": [_round(foreground.low), _round(foreground.high)],
                    "mean": _round(foreground.mean),
                    "std": _round(max(foreground.std, SMALLEST_STD)),
                },
                "CT has a fixed scale; window, mean and std are those of the labelled voxels",
            )
        return {"intensity": "zscore"}, "all labelled voxels have one value, which gives no window"
    if 0 < padding <= LARGEST_PADDING:
        low = math.ceil(200 * padding + 1) / 2  # half a percent or more above the padding
        return (
            {"intensity": "percentile", "percentiles": [low, HIGH_PERCENTILE]},
            f"up to {padding:.1%} of a volume have one value far below all others, which is clipped",
        )
    if nonzero_box < CROPPED_SHARE:
        return (
            {"intensity": "zscore-nonzero"},
            f"the voxels that are not 0 lie in {nonzero_box:.0%} of the median volume",
        )
    hint = "" if modality else ', and no modality is given; modality = "CT" would take a window'
    return {"intensity": "zscore"}, f"the scale of the intensities is not fixed{hint}"


def _round(value: float) -> float:
    return float(f"{value:.6g}")
