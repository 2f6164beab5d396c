"""An average of each member over its own last rounds, which predicts in place of the member.

Nothing is averaged between sites: a member is averaged with its own earlier states (Izmailov et al.,
"Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018). The running statistics
of batch normalisation are averaged as the weights are. The option ``average`` turns it on.
"""

import math
from dataclasses import replace

from fedcross.strategies.averaging import interpolate
from fedcross.strategies.method import Members, Method


def update_averages(
    averages: Members,
    members: Members,
    method: Method,
    rounds_done: int,
    continued_at: int = 0,
) -> Members:
    """Return the averages after one more round.

    Parameters
    ----------
    averages
        Averages after the round before; empty before the first round that counts.
    members
        Members after this round.
    method
        Kind of the average, and the share of the rounds after which it begins.
    rounds_done
        Number of finished rounds, this one included.
    continued_at
        Number of rounds after which the run got more rounds or sites, from which on it averages anew; 0
        if it did not.

    Returns
    -------
    tuple of MemberState
        One average per member, without optimiser state; empty if the method has no average or the
        round does not count yet.
    """
    begin = math.floor(method.average_from * method.rounds)
    counted = rounds_done - max(begin, method.first_full_round, continued_at)
    if method.average == "none" or counted < 1:
        return ()
    if not averages:
        return tuple(replace(member, optimizer={}) for member in members)
    rate = 1 / counted if method.average == "soup" else 1 - method.ema_decay
    return tuple(
        replace(member, optimizer={}, weights=interpolate(average.weights, member.weights, rate))
        for average, member in zip(averages, members, strict=True)
    )
