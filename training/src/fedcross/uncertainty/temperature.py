"""The temperature of an ensemble, from sums that sites can add.

The logits of every member are divided by the temperature before the softmax; the ensemble's
probabilities are the mean over the members. The chosen temperature has the smallest negative
log-likelihood of the drawn labels (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017).
The members' probabilities suffice, because softmax(z / T) is p^(1/T), divided by its sum, for
p = softmax(z).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TEMPERATURES: tuple[float, ...] = tuple(2 ** (step / 10) for step in range(-20, 21))
"""The grid: 0.25 to 4 in steps of 7 %; 1 is in its middle."""

_SMALLEST = 1e-7  # float32 probabilities below this are rounding


def likelihood_sums(
    members: NDArray[np.float32], labels: NDArray[np.uint8], temperature: float = 1.0
) -> NDArray[np.float64]:
    """Return the negative log-likelihood of some voxels, in sum, for every temperature of the grid.

    Parameters
    ----------
    members
        Probabilities of K members, float32 (K, C, n).
    labels
        The drawn class of each voxel, uint8 (n,), below C.
    temperature
        The temperature with which the members' probabilities were computed.

    Returns
    -------
    NDArray
        float64 (T,) in nats, one for each of `TEMPERATURES`; 0 without voxels.
    """
    logs = np.log(np.maximum(members, _SMALLEST).astype(np.float64)) * temperature
    voxels = np.arange(len(labels))
    sums = []
    for each in TEMPERATURES:
        scaled = logs / each
        scaled -= scaled.max(axis=1, keepdims=True)
        powers = np.exp(scaled)
        drawn = powers[:, labels, voxels] / powers.sum(axis=1)  # (K, n)
        sums.append(-np.log(np.maximum(drawn.mean(axis=0), _SMALLEST)).sum())
    return np.array(sums)


def choose_temperature(sums: Sequence[float] | NDArray[np.float64]) -> float:
    """Return the temperature of the grid with the smallest sum; of equal sums the one nearest to 1."""
    distances = np.abs(np.log(TEMPERATURES))
    order = np.lexsort((distances, np.asarray(sums)))
    return TEMPERATURES[int(order[0])]
