"""The schedule of cross learning: the site of every member in every round.

Xu et al., "Federated Cross Learning for Medical Image Segmentation", MIDL 2023 (arXiv 2204.02450).
"""

import random
from typing import Literal, get_args

from fedcross.errors import ConfigError

ScheduleKind = Literal["latin", "rotation", "random"]
Schedule = tuple[tuple[int, ...], ...]


def make_schedule(
    kind: ScheduleKind, *, rounds: int, sites: int, members: int, seed: int
) -> Schedule:
    """Return the rounds x members table of site indices.

    No two members are at the same site in a round. With fewer members than sites, some sites are idle.

    Parameters
    ----------
    kind
        ``latin``: in every block of `sites` rounds each member visits each site exactly once; the
        order is shuffled and differs between blocks. ``rotation``: round-robin, member k is at site
        (k + round) mod sites. ``random``: an independent draw in every round, as in the authors'
        implementation; a member may visit a site several times in a row.
    rounds, sites, members
        Numbers of rounds, sites and members, each at least 1; at most as many members as sites.
    seed
        Seed of the random order. Global random state is neither read nor changed.

    Returns
    -------
    tuple of tuple of int
        ``schedule[round_index][member_index]`` is a site index, 0 to ``sites - 1``.

    Raises
    ------
    ConfigError
        If a count is below 1, there are more members than sites, or the kind is unknown.
    """
    for name, value in (("rounds", rounds), ("sites", sites), ("members", members)):
        if value < 1:
            raise ConfigError(f"{name} must be at least 1, got {value}.")
    if members > sites:
        raise ConfigError(
            f"There are {members} members but only {sites} sites: in a round every member trains "
            f"at a site of its own, so members must be at most {sites}."
        )
    rng = random.Random(seed)
    if kind == "rotation":
        return tuple(_rotate(round_index, sites, members) for round_index in range(rounds))
    if kind == "random":
        return tuple(tuple(rng.sample(range(sites), members)) for _ in range(rounds))
    if kind == "latin":
        rows: list[tuple[int, ...]] = []
        while len(rows) < rounds:
            rows.extend(_latin_block(sites, members, rng))
        return tuple(rows[:rounds])
    raise ConfigError(f"schedule must be one of {', '.join(get_args(ScheduleKind))}, got {kind!r}.")


def _rotate(shift: int, sites: int, members: int) -> tuple[int, ...]:
    return tuple((member + shift) % sites for member in range(members))


def _latin_block(sites: int, members: int, rng: random.Random) -> list[tuple[int, ...]]:
    """Shuffle the rows, columns and symbols of the cyclic Latin square; keep `members` columns."""
    shifts, columns, names = (rng.sample(range(sites), sites) for _ in range(3))
    return [
        tuple(names[(columns[member] + shift) % sites] for member in range(members))
        for shift in shifts
    ]
