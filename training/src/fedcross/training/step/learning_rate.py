"""The learning rate of every local epoch of a run."""

import math

from fedcross.training.config.sections import OptimisationConfig

POLYNOMIAL = 0.9


def learning_rate(settings: OptimisationConfig, epoch: int, total: int) -> float:
    r"""Return the learning rate of an epoch.

    The rate follows the whole run and not a visit, so a member that missed a visit has the same rate as
    the others. With w epochs of warm-up, the rate of epoch :math:`e < w` is
    :math:`r (e + 1) / (w + 1)`. From epoch w on, with :math:`t = (e - w) / (E - w)` of E epochs, it is

    - ``polynomial``: :math:`r (1 - t)^{0.9}` (Chen et al., "DeepLab", TPAMI 2018; the FedCross authors
      use it),
    - ``cosine``: :math:`r (1 + \cos \pi t) / 2` (Loshchilov and Hutter, "SGDR", ICLR 2017, without
      restarts),
    - ``constant``: r.

    Parameters
    ----------
    settings
        Base rate r, kind of the schedule and number of epochs of the warm-up.
    epoch
        Number of local epochs since the beginning of the run, from 0 to `total` - 1.
    total
        Number E of local epochs of the run: rounds x local epochs.
    """
    base, warmup = settings.learning_rate, settings.warmup_epochs
    if epoch < warmup:
        return base * (epoch + 1) / (warmup + 1)
    share = (epoch - warmup) / (total - warmup)
    if settings.rate_schedule == "constant":
        return base
    if settings.rate_schedule == "cosine":
        return base * (1 + math.cos(math.pi * share)) / 2
    return float(base * (1 - share) ** POLYNOMIAL)
