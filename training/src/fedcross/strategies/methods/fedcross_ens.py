"""FedCrossEns: several members walk from site to site at the same time."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import Field, model_validator

from fedcross.strategies.cross import CrossMethod
from fedcross.strategies.method import Members, Visits, replace_trained
from fedcross.strategies.schedule import Schedule, make_schedule

if TYPE_CHECKING:
    from fedcross.model.architecture import Architecture
    from fedcross.strategies.plan import Plan

PARTED_SEED = 1
"""Added to the schedule's seed for the rounds after the shared ones."""


class FedCrossEns(CrossMethod):
    """Several FedCross members at once, each at another site; their mean probability predicts.

    Xu et al., "Federated Cross Learning for Medical Image Segmentation", MIDL 2023 (arXiv 2204.02450).
    With the option `shared_rounds` a single member walks alone first and is then copied. This part is
    not in the paper.
    """

    kind: ClassVar[str] = "fedcross-ens"
    title: ClassVar[str] = "FedCrossEns"
    added_later: ClassVar[tuple[str, ...]] = ("shared_rounds",)

    members: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None, description="Number of members; when left out as many as sites."
    )
    shared_rounds: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="Number of first rounds in which one member walks alone. Afterwards every member "
        "is a copy of it, and the copies take routes of their own. Must be less than rounds.",
    )

    @model_validator(mode="after")
    def _members_part(self) -> Self:
        if self.shared_rounds >= self.rounds:
            raise ValueError(
                f"shared_rounds must be less than rounds, {self.rounds}, got {self.shared_rounds}"
            )
        return self

    def member_count(self, sites: int) -> int:
        """Return the option `members`, or the number of sites if it was left out."""
        return sites if self.members is None else self.members

    def fix_member_count(self, sites: int) -> Self:
        """Return the method with `sites` members if the option `members` was left out."""
        return self.model_copy(update={"members": self.member_count(sites)})

    def first_member_count(self, sites: int) -> int:
        """Return the number of members before the first round; with shared rounds 1."""
        return 1 if self.shared_rounds else self.member_count(sites)

    def first_members(self, network: "Architecture", sites: int, seed: int) -> Members:
        """Return the members before the first round; with shared rounds only one."""
        members = super().first_members(network, sites, seed)
        return members[: self.first_member_count(sites)]

    def run(
        self, members: Members, plan: "Plan", visits: Visits, rounds: range
    ) -> Iterator[Members]:
        """Train every member at its site of the schedule; after the shared rounds copy the first."""
        schedule = plan.schedule or ()
        for round_index in rounds:
            if round_index == self.shared_rounds and len(members) == 1:
                count = self.member_count(len(plan.cases))
                members = tuple(replace(members[0], index=index) for index in range(count))
            trained = visits(members, schedule[round_index], round_index)
            members = replace_trained(members, trained)
            yield members

    def make_schedule(self, sites: int, seed: int, first_round: int = 0) -> Schedule:
        """Return the site indices of every round: one in the shared rounds, then one for each member."""
        shared_rounds = self.shared_rounds - first_round
        if shared_rounds <= 0:
            return super().make_schedule(sites, seed, first_round)
        shared = make_schedule(
            self.schedule, rounds=shared_rounds, sites=sites, members=1, seed=seed
        )
        parted = make_schedule(
            self.schedule,
            rounds=self.rounds - self.shared_rounds,
            sites=sites,
            members=self.member_count(sites),
            seed=seed + PARTED_SEED,
        )
        return shared + parted

    @property
    def first_full_round(self) -> int:
        """Index of the first round in which all members train."""
        return self.shared_rounds

    def visits_before(self, round_index: int, sites: int) -> int:
        """Return the number of visits in the rounds before one."""
        shared = min(round_index, self.shared_rounds)
        return shared + (round_index - shared) * self.visits_per_round(sites)

    def rounds_for_budget(self, rounds: int, sites: int) -> int:
        """Return the number of rounds in which every site is visited `rounds` times."""
        parted = rounds * sites - self.shared_rounds
        return self.shared_rounds + max(1, -(-parted // self.member_count(sites)))
