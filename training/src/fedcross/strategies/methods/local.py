"""Local only: every site trains a model of its own."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from fedcross.strategies.federated_method import FederatedMethod
from fedcross.strategies.method import Members, Visits, replace_trained

if TYPE_CHECKING:
    from fedcross.strategies.plan import Plan


class LocalOnly(FederatedMethod):
    """Every site trains a model of its own; nothing is exchanged."""

    kind: ClassVar[str] = "local"
    title: ClassVar[str] = "Local only"
    is_personal: ClassVar[bool] = True

    def run(
        self, members: Members, plan: "Plan", visits: Visits, rounds: range
    ) -> Iterator[Members]:
        """Train every site's model at its site."""
        for round_index in rounds:
            members = replace_trained(members, visits(members, plan.sites, round_index))
            yield members

    def member_count(self, sites: int) -> int:
        """Return the number of sites."""
        return sites

    def stays_at_site(self, tensor: str, normalisation: frozenset[str]) -> bool:
        """Return True: no tensor leaves a site."""
        return True
