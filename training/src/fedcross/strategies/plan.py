"""What is settled before the first round: the schedule, the sites' weights, what stays at a site."""

from collections.abc import Sequence
from dataclasses import dataclass

from fedcross.model.architecture import Architecture
from fedcross.runtime.seeding import seed_of
from fedcross.strategies.method import Method
from fedcross.strategies.schedule import Schedule


@dataclass(frozen=True)
class Plan:
    """What a method's algorithm needs to know about the run.

    Attributes
    ----------
    method : Method
        The method and its options.
    cases : tuple of int
        Number of training cases of every site.
    schedule : tuple of tuple of int or None
        ``schedule[round_index][member_index]`` is a site index; None for a method without schedule.
    normalisation : frozenset of str
        Names of the tensors in the network's normalisation layers.
    seed : int
        Seed of the run.
    """

    method: Method
    cases: tuple[int, ...]
    schedule: Schedule | None
    normalisation: frozenset[str]
    seed: int

    @property
    def sites(self) -> range:
        """Indices of all sites."""
        return range(len(self.cases))

    def weight(self, site: int) -> float:
        """Return a site's weight in an average."""
        return float(self.cases[site]) if self.method.weights_by_cases else 1.0

    def absent(self, round_index: int) -> frozenset[int]:
        """Return the indices of the sites that take no part in a round."""
        return self.method.absent_sites(round_index, len(self.cases), self.seed)

    def stays(self, name: str) -> bool:
        """Return whether a tensor of a member never leaves a site.

        Parameters
        ----------
        name
            Name of the tensor in `fedcross.strategies.member.MemberState.to_tensors`.
        """
        return self.method.stays_at_site(name, self.normalisation)


@dataclass(frozen=True)
class Stage:
    """A part of a run with the same sites.

    Attributes
    ----------
    first_round
        Index of its first round.
    sites
        Number of sites from then on.
    """

    first_round: int
    sites: int


def make_plan(
    method: Method,
    network: Architecture,
    cases: Sequence[int],
    seed: int,
    stages: Sequence[Stage] = (),
) -> Plan:
    """Plan a run.

    Parameters
    ----------
    method
        The method and its options.
    network
        Architecture of the members.
    cases
        Number of training cases of every site.
    seed
        Seed of the run.
    stages
        Parts of the run with different numbers of sites, in their order, if sites were added to it.
        Every stage has a schedule of its own, which begins with a new block.

    Raises
    ------
    ConfigError
        If the method cannot train this network.
    """
    # PyTorch is imported here, because reading a configuration does not need it.
    import torch

    from fedcross.model.networks import build_network
    from fedcross.strategies.averaging import normalisation_tensors

    with torch.device("meta"):
        normalisation = normalisation_tensors(build_network(network))
    method.check_network(network.name, normalisation)
    schedule = _join_schedules(method, stages or [Stage(0, len(cases))], seed)
    return Plan(method, tuple(cases), schedule, normalisation, seed)


def _join_schedules(method: Method, stages: Sequence[Stage], seed: int) -> Schedule | None:
    """The schedules of all stages, one after the other."""
    joined: Schedule = ()
    ends = [*(stage.first_round for stage in stages[1:]), method.rounds]
    for stage, end in zip(stages, ends, strict=True):
        if end == stage.first_round:
            continue
        place = (stage.first_round,) if stage.first_round else ()
        stage_seed = seed_of("schedule", seed, *place)
        rows = method.make_schedule(stage.sites, stage_seed, stage.first_round)
        if rows is None:
            return None
        joined += rows[: end - stage.first_round]
    return joined
