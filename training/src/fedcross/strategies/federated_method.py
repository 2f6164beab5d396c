"""Methods whose sites train by themselves: which sites take part in a round."""

from typing import Annotated

from pydantic import Field

from fedcross.runtime.seeding import python_generator
from fedcross.strategies.method import Method


class FederatedMethod(Method):
    """A method whose sites train by themselves; a site may be absent from a round."""

    participation: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0,
        description="Share of the sites that take part in a round, at least one, drawn again in every "
        "round. A member that is due at another site waits.",
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0,
        description="Probability that a visit fails, to study federations that are not reliable.",
    )

    def absent_sites(self, round_index: int, sites: int, seed: int) -> frozenset[int]:
        """Return the indices of the sites that take no part in a round.

        The result depends on the seed and the round's index only. First as many sites as
        `participation` asks for are drawn, at least one; then each of these fails with the
        probability `dropout`.
        """
        everybody = list(range(sites))
        rng = python_generator("participants", seed, round_index)
        present = rng.sample(everybody, max(1, round(self.participation * sites)))
        present = [site for site in present if rng.random() >= self.dropout]
        return frozenset(everybody) - frozenset(present)
