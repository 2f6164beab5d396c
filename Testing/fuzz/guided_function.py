"""The function that atheris calls with bytes: it makes an input of them and judges it."""

from collections.abc import Callable
from pathlib import Path

import torch
from hypothesis import HealthCheck, given, settings

from fuzz.campaign import Campaign, Tally, try_valid
from fuzz.judge import FAILED, judge
from fuzz.kind import Input
from fuzz.kinds.all_kinds import ALL


def make_test(
    name: str, out: Path, folder: Path, saved_every: int
) -> Callable[[bytes], bytes | None]:
    """Return the function for a kind of input.

    Parameters
    ----------
    name
        Name of the kind.
    out
        Folder of the figures and the failing inputs.
    folder
        Folder for the input that is read.
    saved_every
        Number of inputs after which the figures are stored; after a failure they are stored, too.
    """
    torch.set_num_threads(1)
    (kind,) = (kind for kind in ALL if kind.name == name)
    campaign = Campaign(out)
    tally = campaign.tallies.setdefault(name, Tally())
    try_valid(kind, folder)

    @settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(kind.inputs)
    def each(one: Input) -> None:
        outcome = judge(kind, one, folder)
        tally.add(outcome)
        if outcome.verdict == FAILED:
            campaign.keep(kind, one, outcome.reason)
        if tally.inputs % saved_every == 0 or outcome.verdict == FAILED:
            campaign.save()

    return each.hypothesis.fuzz_one_input
