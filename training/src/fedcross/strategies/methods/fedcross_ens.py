"""FedCrossEns: several members walk from site to site at the same time."""

from typing import Annotated, ClassVar

from pydantic import Field

from fedcross.strategies.cross import CrossMethod


class FedCrossEns(CrossMethod):
    """Several FedCross members at once, each at another site; their mean probability predicts.

    Xu et al., "Federated Cross Learning for Medical Image Segmentation", MIDL 2023 (arXiv 2204.02450).
    """

    kind: ClassVar[str] = "fedcross-ens"
    title: ClassVar[str] = "FedCrossEns"

    members: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None, description="Number of members; when left out as many as sites."
    )

    def member_count(self, sites: int) -> int:
        """Return the option `members`, or the number of sites if it was left out."""
        return sites if self.members is None else self.members
