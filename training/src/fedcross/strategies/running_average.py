"""An average of each member over its own last rounds, to predict with; off by default.

It is no aggregation between sites: a member is averaged with what it was itself in earlier rounds
(Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018). The
running statistics of batch normalisation are averaged as the weights are.
"""

import math
from dataclasses import replace

from fedcross.strategies.averaging import moved
from fedcross.strategies.method_config import MethodConfig
from fedcross.strategies.strategies import Members


def blended(averages: Members, members: Members, method: MethodConfig, rounds_done: int) -> Members:
    """The averages after one more round.

    Parameters
    ----------
    averages
        After the round before; empty before the first one that counts.
    members
        After this round.
    method
        Which average, and from when on.
    rounds_done
        Rounds done, this one included.

    Returns
    -------
    tuple of MemberState
        One for each member, without optimiser state; empty if nothing is averaged (yet).
    """
    counted = rounds_done - math.floor(method.average_from * method.rounds)
    if method.average == "none" or counted < 1:
        return ()
    if not averages:
        return tuple(replace(member, optimizer={}) for member in members)
    rate = 1 / counted if method.average == "soup" else 1 - method.ema_decay
    return tuple(
        replace(member, optimizer={}, weights=moved(average.weights, member.weights, rate))
        for average, member in zip(averages, members, strict=True)
    )
