"""How well an uncertainty map points at the wrong voxels."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats


def auroc(scores: NDArray[np.floating], wrong: NDArray[np.bool_]) -> float | None:
    r"""Area under the receiver operating characteristic of a score against errors.

    The probability that a randomly chosen wrong voxel has a higher score than a randomly chosen
    right one, ties counting half: :math:`(R - n_w (n_w + 1) / 2) / (n_w n_r)` with :math:`R` the
    sum of the mid-ranks of the :math:`n_w` wrong voxels among all, :math:`n_r` being right (Hanley
    and McNeil, "The meaning and use of the area under a receiver operating characteristic (ROC)
    curve", Radiology 1982).

    Parameters
    ----------
    scores
        Any shape; higher means less certain.
    wrong
        Same shape, bool: True where the segmentation is wrong.

    Returns
    -------
    float or None
        0 to 1, 0.5 = no better than chance; None when nothing, or everything, is wrong.

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
