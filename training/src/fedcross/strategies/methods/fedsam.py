"""FedSAM: FedAvg whose sites look for flat minima."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from fedcross.strategies.methods.fedavg import FedAvg

if TYPE_CHECKING:
    from torch import Tensor, nn


class FedSAM(FedAvg):
    r"""FedAvg with sharpness-aware minimisation in the local training.

    Every step takes its gradient at :math:`w + \rho\, g / \lVert g \rVert`, where :math:`g` is the
    gradient at the present weights :math:`w`. A step therefore computes two gradients.

    Qu et al., "Generalized Federated Learning via Sharpness Aware Minimization", ICML 2022; the step
    is that of Foret et al., "Sharpness-Aware Minimization for Efficiently Improving Generalization",
    ICLR 2021.
    """

    kind: ClassVar[str] = "fedsam"
    title: ClassVar[str] = "FedSAM"

    rho: Annotated[float, Field(gt=0, le=10)] = Field(
        default=0.05,
        description="Distance from the present weights, in the Euclidean norm of all weights, at "
        "which a step takes its gradient.",
    )

    def compute_gradient(self, network: "nn.Module", evaluate: "Callable[[], Tensor]") -> "Tensor":
        """Leave the gradient at the displaced weights; the weights themselves do not change.

        Buffers (running statistics of batch normalisation) keep their values of the first evaluation.
        If the gradient is zero, the weights are not displaced.

        Returns
        -------
        Tensor
            Loss at the present weights.
        """
        import torch

        loss = evaluate()
        trained = [p for p in network.parameters() if p.grad is not None]
        gradients = [p.grad for p in trained if p.grad is not None]
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
        scale = self.rho / norm.clamp(min=torch.finfo(norm.dtype).tiny)
        before = [p.detach().clone() for p in trained]
        buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
        with torch.no_grad():
            for parameter, gradient in zip(trained, gradients, strict=True):
                parameter.add_(gradient * scale)
        evaluate()
        with torch.no_grad():
            for parameter, value in zip(trained, before, strict=True):
                parameter.copy_(value)
            for name, buffer in network.named_buffers():
                buffer.copy_(buffers[name])
        return loss
