"""What holds a member back from forgetting: a pull towards the weights that came to the site.

The proximal term is FedProx's (Li et al., "Federated Optimization in Heterogeneous Networks", MLSys
2020). For a member that walks from site to site the weights that came are what it learned elsewhere,
so that the same term, or distillation (Li and Hoiem, "Learning without Forgetting", ECCV 2016),
keeps it from losing that.
"""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from fedcross.strategies.method_config import MethodConfig
from fedcross.train.step.losses import distillation_loss

FEDPROX_MU = 0.01


class Pull:
    """The pull of one visit.

    Parameters
    ----------
    network
        As it came to the site; a copy of it is kept if it is needed.
    method
        How strong the pull is.
    rounds_done
        Visits of the member so far. FedCross pulls towards what was learned, so not on the first
        one; FedProx pulls towards the common model, also on the first one.
    """

    def __init__(self, network: nn.Module, method: MethodConfig, rounds_done: int) -> None:
        learned = rounds_done > 0 or method.kind == "fedprox"
        self._mu = proximal_weight(method) if learned else 0.0
        self._distillation = method.distillation if learned else 0.0
        self._temperature = method.temperature
        self._parameters = list(network.parameters())
        self._came = [p.detach().clone() for p in self._parameters] if self._mu else []
        self._teacher = copy.deepcopy(network).eval() if self._distillation else None

    def loss(self, images: Tensor, logits: Tensor) -> Tensor | float:
        """What the student's logits (N, C, D, H, W) cost, to be added to the loss; 0 if nothing."""
        if self._teacher is None:
            return 0.0
        with torch.no_grad():
            told = self._teacher(images)
        return self._distillation * distillation_loss(logits, told, self._temperature)

    def add_gradient(self) -> None:
        """Add the proximal term's gradient to that of the loss; none if there is no such term."""
        if self._mu:
            add_proximal_gradient(self._parameters, self._came, self._mu)


def proximal_weight(method: MethodConfig) -> float:
    """Mu of the proximal term; 0 when the method has none."""
    if method.mu is None:
        return FEDPROX_MU if method.kind == "fedprox" else 0.0
    return method.mu


def add_proximal_gradient(parameters: Iterable[Tensor], came: Iterable[Tensor], mu: float) -> None:
    r"""Add the gradient of :math:`\frac{\mu}{2} \sum |w - w_0|^2`, that is :math:`\mu (w - w_0)`.

    Parameters
    ----------
    parameters
        The weights w; their ``grad`` changes in place. Those without a gradient are left alone.
    came
        w0, one for each and of its shape.
    mu
        Weight of the term.
    """
    for parameter, anchor in zip(parameters, came, strict=True):
        if parameter.grad is not None:
            parameter.grad.add_(parameter.detach() - anchor, alpha=mu)
