"""How well an uncertainty map separates wrong voxels from right ones."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats


def auroc(scores: NDArray[np.floating], wrong: NDArray[np.bool_]) -> float | None:
    """Return the area under the receiver operating characteristic of a score against errors.

    The area is the probability that a randomly chosen wrong voxel has a higher score than a randomly
    chosen right one; a tie counts half. It is `(R - n_w (n_w + 1) / 2) / (n_w n_r)`, where
    `n_w` voxels are wrong, `n_r` are right, and `R` is the sum of the mid-ranks of
    the wrong voxels among all voxels. Source: Hanley and McNeil, "The meaning and use of the area
    under a receiver operating characteristic (ROC) curve", Radiology 1982.

    Parameters
    ----------
    scores
        Floating-point array of any shape; a higher score means less certain.
    wrong
        bool array of the same shape: True where the segmentation is wrong.

    Returns
    -------
    float or None
        From 0 to 1; 0.5 is no better than chance. None if no voxel or every voxel is wrong.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if scores.shape != wrong.shape:
        raise ValueError(f"scores {scores.shape} and wrong {wrong.shape} must have one shape.")
    wrong_count = int(np.count_nonzero(wrong))
    right_count = wrong.size - wrong_count
    if wrong_count == 0 or right_count == 0:
        return None
    ranks = stats.rankdata(scores, axis=None).reshape(scores.shape)
    rank_sum = float(ranks[wrong].sum())
    return (rank_sum - wrong_count * (wrong_count + 1) / 2) / (wrong_count * right_count)
