"""What is settled before the first round: who goes where, who is away, what never leaves a site."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from fedcross.errors import ConfigError
from fedcross.model.networks import build_network
from fedcross.runtime.seeding import python_generator, seed_of
from fedcross.strategies.averaging import normalisation_tensors
from fedcross.strategies.member import OPTIMIZER, WEIGHTS
from fedcross.strategies.method_config import AGGREGATING, CROSS, MethodConfig
from fedcross.strategies.schedule import Schedule, make_schedule
from fedcross.train.config.configuration import TrainingConfig


@dataclass(frozen=True)
class Plan:
    """What a strategy knows.

    Attributes
    ----------
    method
        Its options.
    cases
        Number of training cases, by site.
    schedule
        ``schedule[round_index][member_index]`` = site index, for FedCross; None for the others.
    normalisation
        Names of the tensors in the networks' normalisation layers.
    seed
        Of the run.
    """

    method: MethodConfig
    cases: tuple[int, ...]
    schedule: Schedule | None
    normalisation: frozenset[str]
    seed: int

    @property
    def sites(self) -> range:
        """Indices of all sites."""
        return range(len(self.cases))

    def weight(self, site: int) -> float:
        """A site's weight in an average."""
        return float(self.cases[site]) if self.method.weighting == "cases" else 1.0

    def absent(self, round_index: int) -> frozenset[int]:
        """The sites that take no part in a round, drawn from the seed and the round alone.

        First as many as the configuration's participation says, at least one, are asked; then each
        of these fails with the probability `dropout`.
        """
        everybody = list(self.sites)
        asked = max(1, round(self.method.participation * len(everybody)))
        rng = python_generator("participants", self.seed, round_index)
        present = rng.sample(everybody, asked)
        present = [site for site in present if rng.random() >= self.method.dropout]
        return frozenset(everybody) - frozenset(present)

    def stays(self, name: str) -> bool:
        """Whether a tensor of a member, by its name in `MemberState.to_tensors`, never leaves a site.

        An engine need not carry it anywhere and may keep it where it is.
        """
        if self.method.kind in ("local", "centralised"):
            return True
        optimizer = name.startswith(OPTIMIZER)
        if optimizer and self.method.kind in AGGREGATING and self.method.optimizer_state == "reset":
            return True
        if self.method.kind != "fedbn":
            return False
        if optimizer:
            return name.removeprefix(OPTIMIZER).split(".", 1)[1] in self.normalisation
        return name.removeprefix(WEIGHTS) in self.normalisation


def make_plan(config: TrainingConfig, cases: Sequence[int]) -> Plan:
    """Plan a run.

    Parameters
    ----------
    config
        Its configuration.
    cases
        Number of training cases of each site.

    Raises
    ------
    ConfigError
        If the method is fedbn and the network has nothing that it would leave at the sites.
    """
    method = config.method
    schedule = None
    if method.kind in CROSS:
        schedule = make_schedule(
            method.schedule,
            rounds=method.rounds,
            sites=len(config.sites),
            members=config.members,
            seed=seed_of("schedule", config.seed),
        )
    with torch.device("meta"):
        normalisation = normalisation_tensors(build_network(config.network))
    if method.kind == "fedbn" and not normalisation:
        raise ConfigError(
            "fedbn leaves the normalisation layers at the sites, but the network "
            f"{config.network.name} has none with weights: choose another norm, or fedavg."
        )
    return Plan(method, tuple(cases), schedule, normalisation, config.seed)
