"""FedProx: FedAvg whose sites are held near the common model."""

from typing import Annotated, ClassVar, Final

from pydantic import Field

from fedcross.strategies.methods.fedavg import FedAvg

DEFAULT_MU: Final = 0.01


class FedProx(FedAvg):
    """FedAvg with a proximal term in the local training.

    Li et al., "Federated Optimization in Heterogeneous Networks", MLSys 2020.
    """

    kind: ClassVar[str] = "fedprox"
    title: ClassVar[str] = "FedProx"

    mu: Annotated[float, Field(ge=0)] | None = Field(
        default=None,
        description="Weight of the proximal term mu / 2 |w - w0|^2, w0 being the weights that came "
        "to the site; 0.01 when left out.",
    )

    def proximal_weight(self, rounds_done: int) -> float:
        """Return `mu`, or its default if it was left out."""
        return DEFAULT_MU if self.mu is None else self.mu
