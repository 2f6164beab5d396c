"""Cross learning: members walk from site to site; options and algorithm of FedCross and FedCrossEns."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from fedcross.strategies.federated_method import FederatedMethod
from fedcross.strategies.method import Members, Visits, replace_trained
from fedcross.strategies.schedule import Schedule, ScheduleKind, make_schedule

if TYPE_CHECKING:
    from fedcross.strategies.plan import Plan


class CrossMethod(FederatedMethod):
    """Members train at one site after the other, each at another site; no weights are averaged.

    Xu et al., "Federated Cross Learning for Medical Image Segmentation", MIDL 2023 (arXiv 2204.02450).
    The optimiser's state travels with the member.
    """

    makes_up_visits: ClassVar[bool] = True

    schedule: ScheduleKind = Field(
        default="latin",
        description="latin: in every block of as many rounds as sites each member meets each site "
        "once; rotation: round-robin; random: drawn again in every round (the authors' code).",
    )
    mu: Annotated[float, Field(ge=0)] | None = Field(
        default=None,
        description="Weight of the proximal term mu / 2 |w - w0|^2, w0 being the weights that came "
        "to the site; no such term when left out.",
    )
    distillation: Annotated[float, Field(ge=0)] = Field(
        default=0.0,
        description="Weight of the distillation from the member as it came to the site, against "
        "forgetting what it learned elsewhere; 0 is no distillation.",
    )
    temperature: Annotated[float, Field(gt=0, le=100)] = Field(
        default=2.0, description="Temperature of the distillation."
    )

    def run(
        self, members: Members, plan: "Plan", visits: Visits, rounds: range
    ) -> Iterator[Members]:
        """Train every member at the site that the schedule names."""
        schedule = plan.schedule or ()
        for round_index in rounds:
            trained = visits(members, schedule[round_index], round_index)
            members = replace_trained(members, trained)
            yield members

    def rounds_for_budget(self, rounds: int, sites: int) -> int:
        """Return the number of rounds in which every site is visited `rounds` times."""
        return -(-rounds * sites // self.member_count(sites))

    def make_schedule(self, sites: int, seed: int, first_round: int = 0) -> Schedule:
        """Return the rounds x members table of site indices; see `Method.make_schedule`."""
        members, rounds = self.member_count(sites), self.rounds - first_round
        return make_schedule(self.schedule, rounds=rounds, sites=sites, members=members, seed=seed)

    def proximal_weight(self, rounds_done: int) -> float:
        """Return `mu`; 0 on the first visit, when nothing was learned elsewhere."""
        return self.mu or 0.0 if rounds_done else 0.0

    def distillation_weight(self, rounds_done: int) -> float:
        """Return `distillation`; 0 on the first visit, when nothing was learned elsewhere."""
        return self.distillation if rounds_done else 0.0

    @property
    def distillation_temperature(self) -> float:
        """The temperature of the distillation."""
        return self.temperature
