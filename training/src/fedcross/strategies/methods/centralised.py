"""Centralised: one model trains on the cases of all sites."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from fedcross.strategies.method import ALL_SITES, Members, Method, Visits, replace_trained

if TYPE_CHECKING:
    from fedcross.strategies.plan import Plan


class Centralised(Method):
    """One model trains on the cases of all sites, as if they could be brought together.

    One of its epochs goes through the cases of all sites, so that with equal rounds and local epochs
    it makes as many steps as all members of the other methods together.
    """

    kind: ClassVar[str] = "centralised"
    title: ClassVar[str] = "Centralised"
    pools_cases: ClassVar[bool] = True

    def run(
        self, members: Members, plan: "Plan", visits: Visits, rounds: range
    ) -> Iterator[Members]:
        """Train the model on all cases."""
        for round_index in rounds:
            members = replace_trained(members, visits(members, [ALL_SITES], round_index))
            yield members

    def member_count(self, sites: int) -> int:
        """Return 1."""
        return 1

    def stays_at_site(self, tensor: str, normalisation: frozenset[str]) -> bool:
        """Return True: no tensor is sent."""
        return True
