"""FedCross: one member walks from site to site."""

from typing import ClassVar

from pydantic import Field, field_validator

from fedcross.strategies.cross import CrossMethod


class FedCross(CrossMethod):
    """One member trains at one site after the other.

    Xu et al., "Federated Cross Learning for Medical Image Segmentation", MIDL 2023 (arXiv 2204.02450).
    """

    kind: ClassVar[str] = "fedcross"
    title: ClassVar[str] = "FedCross"

    members: int | None = Field(default=None, description="Number of members; FedCross has one.")

    @field_validator("members")
    @classmethod
    def _is_one(cls, members: int | None) -> int | None:
        if members not in (None, 1):
            raise ValueError(
                f"fedcross has one member, got members = {members}; "
                "an ensemble is kind = 'fedcross-ens'"
            )
        return members

    def member_count(self, sites: int) -> int:
        """Return 1."""
        return 1
