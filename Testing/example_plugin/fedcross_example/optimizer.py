"""An optimiser: Lion."""

from collections.abc import Iterable

import torch
from torch import nn
from torch.optim import Optimizer


class Lion(Optimizer):
    """Steps along the sign of an average of gradients (Chen et al., NeurIPS 2023).

    Its state is one tensor per parameter, so it can travel with a member.

    Parameters
    ----------
    parameters
        The parameters of the network.
    lr
        Learning rate; FedCross sets it before every epoch.
    momentum
        Share of the old average in the step.
    decay
        Share of the old average in the new one.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        momentum: float = 0.9,
        decay: float = 0.99,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Change all parameters by the learning rate."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["average"] = torch.zeros_like(parameter)
                average = state["average"]
                step = torch.lerp(parameter.grad, average, group["momentum"]).sign()
                parameter.sub_(step, alpha=group["lr"])
                average.lerp_(parameter.grad, 1 - group["decay"])
