"""Penalty on the distance from the weights with which a member came to a site.

The proximal term is that of FedProx (Li et al., "Federated Optimization in Heterogeneous Networks",
MLSys 2020). A FedCross member came with what it learned at other sites, so that the same term, or
distillation (Li and Hoiem, "Learning without Forgetting", ECCV 2016), keeps it from forgetting that.
"""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from fedcross.strategies.method import Method
from fedcross.training.step.losses import distillation_loss


class DriftPenalty:
    """The penalty of one visit.

    Parameters
    ----------
    network
        Network with the weights with which the member came. If the method needs them, a copy is kept.
    method
        Method of the run; gives the weights of the proximal term and of the distillation.
    rounds_done
        Number of visits of the member before this one.
    """

    def __init__(self, network: nn.Module, method: Method, rounds_done: int) -> None:
        self._mu = method.proximal_weight(rounds_done)
        self._distillation = method.distillation_weight(rounds_done)
        self._temperature = method.distillation_temperature
        self._parameters = list(network.parameters())
        self._start = [p.detach().clone() for p in self._parameters] if self._mu else []
        self._teacher = copy.deepcopy(network).eval() if self._distillation else None

    def loss(self, images: Tensor, logits: Tensor) -> Tensor | float:
        """Return the distillation loss, to be added to the loss of the batch; 0 without distillation.

        Parameters
        ----------
        images
            Batch, (N, channels, D, H, W).
        logits
            Output of the network for it, (N, C, D, H, W).
        """
        if self._teacher is None:
            return 0.0
        with torch.no_grad():
            target = self._teacher(images)
        return self._distillation * distillation_loss(logits, target, self._temperature)

    def add_gradient(self) -> None:
        """Add the gradient of the proximal term to that of the loss, if there is such a term."""
        if self._mu:
            add_proximal_gradient(self._parameters, self._start, self._mu)


def add_proximal_gradient(parameters: Iterable[Tensor], start: Iterable[Tensor], mu: float) -> None:
    r"""Add the gradient of :math:`\frac{\mu}{2} \sum |w - w_0|^2`, that is :math:`\mu (w - w_0)`.

    Parameters
    ----------
    parameters
        The weights w; their ``grad`` changes in place. Those without a gradient are left alone.
    start
        w0, one for each and of its shape.
    mu
        Weight of the term.
    """
    for parameter, anchor in zip(parameters, start, strict=True):
        if parameter.grad is not None:
            parameter.grad.add_(parameter.detach() - anchor, alpha=mu)
