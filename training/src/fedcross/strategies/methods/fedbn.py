"""FedBN: FedAvg whose normalisation layers stay at the sites."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from fedcross.errors import ConfigError
from fedcross.strategies.aggregation import AggregatingMethod, average_members, insert_mean
from fedcross.strategies.method import Members, Visits, replace_trained

if TYPE_CHECKING:
    from fedcross.model.architecture import Architecture
    from fedcross.strategies.plan import Plan


class FedBN(AggregatingMethod):
    """Every site has normalisation layers of its own; all other weights are averaged.

    Li et al., "FedBN: Federated Learning on Non-IID Features via Local Batch Normalization", ICLR 2021.
    """

    kind: ClassVar[str] = "fedbn"
    title: ClassVar[str] = "FedBN"
    is_personal: ClassVar[bool] = True

    def run(
        self, members: Members, plan: "Plan", visits: Visits, rounds: range
    ) -> Iterator[Members]:
        """Train every site's model and average all tensors that do not stay."""
        keep_momentum = self.optimizer_state == "average"
        for round_index in rounds:
            trained = list(visits(members, plan.sites, round_index))
            mean = average_members(members[0], trained, plan)
            members = tuple(
                insert_mean(member, mean, plan, keep_momentum=keep_momentum)
                for member in replace_trained(members, trained)
            )
            yield members

    def member_count(self, sites: int) -> int:
        """Return the number of sites."""
        return sites

    def first_members(self, network: "Architecture", sites: int, seed: int) -> Members:
        """Return one model for every site, all with the same weights."""
        from fedcross.strategies.member import new_member

        model = new_member(0, network, seed)
        return tuple(replace(model, index=site) for site in range(sites))

    def stays_at_site(self, tensor: str, normalisation: frozenset[str]) -> bool:
        """Return whether a tensor belongs to a normalisation layer, or to a momentum that is reset."""
        from fedcross.strategies.member import OPTIMIZER, WEIGHTS

        if super().stays_at_site(tensor, normalisation):
            return True
        if tensor.startswith(OPTIMIZER):
            return tensor.removeprefix(OPTIMIZER).split(".", 1)[1] in normalisation
        return tensor.removeprefix(WEIGHTS) in normalisation

    def check_network(self, name: str, normalisation: frozenset[str]) -> None:
        """Raise `ConfigError` if the network has no normalisation layers with weights."""
        if not normalisation:
            raise ConfigError(
                "fedbn leaves the normalisation layers at the sites, but the network "
                f"{name} has none with weights: choose another norm, or fedavg."
            )
