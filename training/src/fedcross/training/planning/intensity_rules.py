"""The rule for the intensity normalisation. It computes with numbers only."""

from typing import Any

from fedcross.training.planning.figures import Intensities

CROPPED_SHARE = 0.75
SMALLEST_STD = 1e-3


def choose_intensity(
    modality: str, nonzero_box: float, foreground: Intensities
) -> tuple[dict[str, Any], str]:
    """Choose the intensity normalisation, by nnU-Net's rule (Isensee et al., Nature Methods 2021).

    CT has a fixed scale: it is clipped to percentiles 0.5 and 99.5 of the labelled voxels and
    standardised by their mean and standard deviation. Otherwise every volume is standardised by itself:
    by its non-zero voxels if their bounding box takes less than three quarters of the median volume,
    since then the background was set to 0; else by all voxels. nnU-Net crops the volume to that box as
    well; FedCross does not.

    Parameters
    ----------
    modality
        For example "CT"; empty if unknown.
    nonzero_box
        Median share of the volume that the bounding box of its non-zero voxels takes.
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
    if nonzero_box < CROPPED_SHARE:
        return (
            {"intensity": "zscore-nonzero"},
            f"the voxels that are not 0 lie in {nonzero_box:.0%} of the median volume",
        )
    hint = "" if modality else ', and no modality is given; modality = "CT" would take a window'
    return {"intensity": "zscore"}, f"the scale of the intensities is not fixed{hint}"


def _round(value: float) -> float:
    return float(f"{value:.6g}")
