"""FedAvg: every site trains a copy of one model, and the copies are averaged."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from fedcross.strategies.aggregation import AggregatingMethod, average_members
from fedcross.strategies.method import Members, Visits

if TYPE_CHECKING:
    from fedcross.strategies.plan import Plan


class FedAvg(AggregatingMethod):
    """Every site trains a copy of the one model, whose next weights are the mean of the copies.

    McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data",
    AISTATS 2017.
    """

    kind: ClassVar[str] = "fedavg"
    title: ClassVar[str] = "FedAvg"

    def run(
        self, members: Members, plan: "Plan", visits: Visits, rounds: range
    ) -> Iterator[Members]:
        """Train a copy at every site and average the copies."""
        (model,) = members
        for round_index in rounds:
            copies = [replace(model, index=site) for site in plan.sites]
            model = average_members(model, visits(copies, plan.sites, round_index), plan)
            yield (model,)

    def member_count(self, sites: int) -> int:
        """Return 1."""
        return 1
